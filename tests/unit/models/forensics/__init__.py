"""Unit tests of models/forensics."""
