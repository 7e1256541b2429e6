"""Drivers of whatever keeps data outside the broker."""
