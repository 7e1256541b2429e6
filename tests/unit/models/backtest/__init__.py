"""Tests of what a backtest is measured by."""
