"""The ensemble: specialists and weights become a target."""
