"""Risk controls: pure verdicts about an order against a book."""
