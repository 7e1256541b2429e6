"""Validation documents, written by the measurements that they report."""
