"""What a backtest is measured by: returns, risk, costs, and which regime they came from."""
