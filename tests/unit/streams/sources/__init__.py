"""Tests of where ticks come from, mirroring streams/sources."""
