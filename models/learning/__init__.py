"""Networks that go on learning: weighed by what they knew, and judged before they serve."""
