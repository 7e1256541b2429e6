"""Brokers that a stack can run on: given by address, or started beside it."""

from streams.brokers.broker import Broker, open_broker
from streams.brokers.homes import existing_home, stack_home, stack_id

__all__ = ["Broker", "existing_home", "open_broker", "stack_home", "stack_id"]
