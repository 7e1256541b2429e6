"""Tests of the mathematics, mirroring models."""
