"""Tests of one module each, without a broker; the folders mirror the rooms."""
