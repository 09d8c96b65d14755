"""Room: effects."""
