"""Records built by hand, and a log that hands them out."""

from collections.abc import Iterable
from typing import Any

import msgspec

from streams.dead_letters import Headers
from streams.records import (
    Decision,
    Digests,
    Holding,
    PortfolioSnapshot,
    RegimeProbs,
    Rejection,
    RiskChecks,
    StrategyWeights,
)
from tables.stores.decision_log import LogAway, LogRecord, LogStatus, RecordGone

TOPIC = "r1.trading-decisions"
SNAPSHOTS = "r1.portfolio-snapshots"
DEAD_LETTERS = "r1.dead-letters"

# 2026-01-02T21:00:00Z, when Kafka is said to have stored every record.
WRITTEN_MS = 1_767_387_600_000

TOO_MUCH = Rejection("MAX_ASSET_FRACTION", "the position would be too large", 0.25, 0.31)
LEVERAGED = Rejection("MAX_LEVERAGE", "gross would exceed equity", 1.5, 1.62)

_BOUGHT = Decision(
    timestamp="2026-01-02T21:00:00Z",
    decision_id="00000000-0000-5000-8000-000000000001",
    portfolio="main",
    symbol="AAPL",
    timeframe="1day",
    action="BUY",
    quantity=120,
    price=187.34,
    confidence=0.734,
    approved=True,
    allowed_quantity=120,
    rejection_reasons=[],
    regime_probs=RegimeProbs(0.62, 0.13, 0.25),
    entropy_bits=1.31,
    strategy_weights=StrategyWeights(0.5, 0.2, 0.3),
    target_fraction=0.12,
    features={"return_1": 0.0123456789, "rsi_14": 61.5},
    risk_checks=RiskChecks(position_limit_ok=True, concentration_ok=True, correlation_ok=True),
    note="",
    epoch=3,
    digests=Digests("decision-v1", "pipe" * 16, "mode" * 16, "limi" * 16, "univ" * 16),
)


def decision_id(number: int) -> str:
    """Return a UUID that ends with the number in hex."""
    return f"00000000-0000-5000-8000-{number:012x}"


def decision(number: int = 1, **changed: Any) -> Decision:  # noqa: ANN401  fields of a decision
    """Return an approved purchase, with what is changed."""
    return msgspec.structs.replace(_BOUGHT, decision_id=decision_id(number), **changed)


def refused(number: int, *reasons: Rejection, **changed: Any) -> Decision:  # noqa: ANN401  fields of a decision
    """Return a refused purchase."""
    checks = RiskChecks(position_limit_ok=False, concentration_ok=False, correlation_ok=True)
    return decision(
        number,
        approved=False,
        allowed_quantity=80,
        rejection_reasons=list(reasons or [TOO_MUCH]),
        risk_checks=checks,
        **changed,
    )


def snapshot(timestamp: str, equity: str, *, portfolio: str = "main") -> PortfolioSnapshot:
    """Return an account that holds one symbol below and one above the limit."""
    return PortfolioSnapshot(
        timestamp=timestamp,
        portfolio=portfolio,
        currency="USD",
        cash="601234.5",
        equity=equity,
        gross="398765.5",
        realised="-120.25",
        fees="18.75",
        holdings=[
            Holding(
                symbol="AAPL",
                quantity=640,
                open_quantity=120,
                price="187.34",
                notional="119897.6",
                equity_fraction=0.1199,
            ),
            Holding(
                symbol="XOM",
                quantity=2300,
                open_quantity=0,
                price="121.25",
                notional="278875",
                equity_fraction=0.2789,
            ),
        ],
    )


def record(
    topic: str,
    value: object,
    offset: int = 0,
    *,
    partition: int = 0,
    headers: Headers | None = None,
) -> LogRecord:
    """Return a record of a topic; structs become JSON, bytes stay."""
    raw = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return LogRecord(topic, partition, offset, WRITTEN_MS, b"main", raw, headers or [])


def dead_letter(offset: int, raw: bytes, **headers: str) -> LogRecord:
    """Return a dead letter whose headers are the given ones."""
    named = [(name, value.encode()) for name, value in headers.items()]
    letter = record(DEAD_LETTERS, raw, offset, headers=named)
    return letter._replace(key=f"r1.market-ticks:0:{offset}:0".encode())


class PlayedLog:
    """A log of records in memory, whose broker can be away."""

    def __init__(self, records: Iterable[LogRecord] = ()) -> None:
        self.status = LogStatus("ok", 0)
        self.is_away = False
        self.records = {(r.topic, r.partition, r.offset): r for r in records}

    async def catch_up(self) -> None:
        """Have read all, unless the broker is away."""
        if self.is_away:
            raise LogAway("played")

    async def fetch(self, topic: str, partition: int, offset: int) -> LogRecord:
        """Hand out a record, unless the broker is away or the record gone."""
        if self.is_away:
            raise LogAway("played")
        if (topic, partition, offset) not in self.records:
            raise RecordGone("played")
        return self.records[topic, partition, offset]
