"""Chaos: what is done to a running chain, and the judge of what it must keep all the same."""
