"""Unit tests of models/portfolio."""
