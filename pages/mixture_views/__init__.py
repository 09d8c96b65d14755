"""The views of the mixture page, and what they share."""
