"""Measurements behind every number that the documents state: ``tradewind evidence NAME``."""
