"""Tests of the client for other people's programs."""
