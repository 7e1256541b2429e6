"""Regime probabilities: bull, bear, sideways and their entropy."""
