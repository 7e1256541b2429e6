"""A run: a tape through a chain of its own, watched and verified."""
