"""Tests of the room of what is said."""
