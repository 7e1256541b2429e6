"""Where ticks come from: files, the price bridge and the seeded generator."""
