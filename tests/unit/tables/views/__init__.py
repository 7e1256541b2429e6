"""Tests of the views: the pages on records built by hand."""
