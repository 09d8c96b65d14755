"""Navigation and the open workspace."""
