"""What others make of the same work: programs of peers, each in its own way."""
