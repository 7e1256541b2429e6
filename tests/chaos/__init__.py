"""Chaos: what is done to a running chain, and the judge that says whether it noticed."""
