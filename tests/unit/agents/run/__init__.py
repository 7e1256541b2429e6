"""Tests of a run: driven, watched and stopped."""
