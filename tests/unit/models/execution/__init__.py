"""Unit tests of models/execution."""
