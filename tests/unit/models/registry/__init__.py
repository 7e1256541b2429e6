"""Tests of models.registry."""
