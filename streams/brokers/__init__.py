"""Brokers that a stack can run on: given by address, or started beside it."""
