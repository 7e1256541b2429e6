"""Tests of the room of who listens and who speaks."""
