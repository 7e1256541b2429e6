"""Programs of peers that this environment does not have are not imported to look for examples."""

collect_ignore = ["hop_bytewax.py", "hop_quix.py", "rule_nautilus.py"]
