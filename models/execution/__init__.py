"""Paper execution: when and at what price an order fills."""
