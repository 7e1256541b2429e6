"""Tests of models.learning."""
