"""Everything that a program needs to talk to Tradewind: send ticks, read decisions, ask the API.

>>> from streams.client import Api, DecisionReader, TickProducer

The records are those of :mod:`streams.records` and :mod:`streams.questions`. Nothing here starts a
part of a stack or reads a setting.
"""

from streams.access import Access
from streams.client.api import Api
from streams.client.decision_reader import DecisionReader, Received
from streams.client.errors import (
    ApiAwayError,
    ApiError,
    ClientError,
    ConflictingDecisionError,
    DecisionsLostError,
    NotDeliveredError,
)
from streams.client.tick_producer import TickProducer

__all__ = [
    "Access",
    "Api",
    "ApiAwayError",
    "ApiError",
    "ClientError",
    "ConflictingDecisionError",
    "DecisionReader",
    "DecisionsLostError",
    "NotDeliveredError",
    "Received",
    "TickProducer",
]
