"""Tests of the brokers' parts, without a broker."""
