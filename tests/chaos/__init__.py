"""What a run must keep whatever happens to it, and who looks: the judge."""
