"""Bytes from elsewhere on every decoder: an answer or a named refusal, and never anything else."""
