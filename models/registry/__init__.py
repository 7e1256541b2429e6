"""What is known of a fitted model, written for whoever is to use it."""
