"""The meta-controller: weights of the specialists on the simplex."""
