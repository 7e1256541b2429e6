"""Contracts between the rooms: laws, catalogue, schemas and shape."""
