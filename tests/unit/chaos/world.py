"""A small epoch for the judge's parts: two sectors, one instrument that may be short."""

from typing import Any

from tests.chaos.judge.documents import Documents, Epoch
from tests.chaos.judge.ledger import Account
from tests.chaos.judge.record import Record
from tests.chaos.judge.recording import RecordedSource
from tests.chaos.judge.verdict import Invariant

LIMITS = {
    "max_order_fraction": 1.0,
    "max_order_lots": 1_000,
    "max_asset_fraction": 1.0,
    "max_sector_fraction": 1.0,
    "max_leverage": 2.0,
    "max_gross_fraction": 2.0,
    "max_net_fraction": 2.0,
    "allow_short": True,
    "restricted": [],
}


class Nothing:
    """A source without topics."""

    def topics(self) -> dict[str, int]:
        """Return that there are none."""
        return {}

    records = RecordedSource.records


def epoch(**portfolio: Any) -> Epoch:  # noqa: ANN401  fields of a document
    """Return an epoch of bars of a second with one portfolio of 1,000 and lots of 0.5."""
    instruments = [
        {"id": name, "sector": sector, "lot_size": "0.5", "calendar": "24/7", "shortable": short}
        for name, sector, short in (("A", "x", False), ("B", "x", True), ("C", "y", False))
    ]
    main = {
        "id": "main",
        "cash": "1000",
        "currency": "USD",
        "venue": "paper",
        "universe": [],
        "order_expiry_bars": 2,
        "limits": LIMITS,
        **portfolio,
    }
    document = {
        "timeframe": "1s",
        "n_partitions": 1,
        "clock_id": "test",
        "lateness_ms": 0,
        "max_ahead_ms": 1_000,
        "calendars": {},
        "instruments": instruments,
        "portfolios": [main],
    }
    return Epoch(document, Documents(Nothing()))


def account(**portfolio: Any) -> tuple[Account, Invariant]:  # noqa: ANN401  fields of a document
    """Return its account with all prices at 10, and what takes the violations."""
    ledger = Invariant("I4", "")
    made = Account(epoch(**portfolio).portfolios["main"], ledger)
    for symbol in "ABC":
        made.mark(symbol, "10")
    made.time_comes(1)
    return made, ledger


def record(
    topic: str = "t", offset: int = 0, value: bytes | None = None, /, **headers: str
) -> Record:
    """Return a record of partition 0."""
    named = tuple((name, text.encode()) for name, text in headers.items())
    return Record(topic, 0, offset, 0, None, value, named)
