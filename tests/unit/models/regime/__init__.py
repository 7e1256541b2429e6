"""Tests of models.regime."""
