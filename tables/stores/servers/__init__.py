"""The servers behind the stores: which one is used, and how an own one is started."""
