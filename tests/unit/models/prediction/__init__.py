"""Tests of models.prediction."""
