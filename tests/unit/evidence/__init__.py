"""Tests of what the evidence is drawn from."""
