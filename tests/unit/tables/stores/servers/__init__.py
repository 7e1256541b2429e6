"""Tests of how the servers behind the stores are chosen and started."""
