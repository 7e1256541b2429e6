"""Tests of models.specialists."""
