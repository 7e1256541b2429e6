"""Tests of the tables, mirroring tables."""
