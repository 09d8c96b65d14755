"""What a curator sees: one file per stop of the way."""
