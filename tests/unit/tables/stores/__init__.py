"""Tests of the stores that need nothing outside the process."""
