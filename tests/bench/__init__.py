"""Work that is timed beside others."""
