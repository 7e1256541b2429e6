"""Tests of the judge's parts, by hand calculations."""
