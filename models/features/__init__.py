"""The one feature pipeline of live use, training and backtest."""
