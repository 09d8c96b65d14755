"""Room: mixture."""
