"""Unit tests of models/risk."""
