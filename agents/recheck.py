"""``trading-decisions, portfolio-snapshots -> tradewind_risk_violations_total``: a second look.

Beside the archive, off the path. Whoever approves an order counts what breaks its own verdict; this
holds each order against the account that was published with it, by arithmetic of its own. It reads
from where it was on, and from its first start on.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer

from agents.giving_way import gathered
from agents.topology import prefix_of
from streams import metrics, topics
from streams.errors import RecordError
from streams.records import Decision, PortfolioSnapshot, read_json
from tables.recheck import Broken, Recheck

log = logging.getLogger("tradewind.recheck")

STAGE = "recheck"
SOURCES = (topics.TRADING_DECISIONS.name, topics.PORTFOLIO_SNAPSHOTS.name)

_POLL_MS = 500
_MOST_RECORDS = 500
_DECISION = msgspec.json.Decoder(Decision)
_SNAPSHOT = msgspec.json.Decoder(PortfolioSnapshot)


def group_of(run: str) -> str:
    """Return the consumer group of a run's second look."""
    return f"{prefix_of(run)}tradewind-{STAGE}"


class Rechecking:
    """The second look at one run's orders.

    Parameters
    ----------
    consumer
        Of the run's decisions and accounts, which commits by itself: a record that is read twice
        may be counted twice, none is passed over.
    """

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._recheck = Recheck()
        self._n_said = 0

    async def work(self) -> None:
        """Read and check until cancelled."""
        while True:
            self.take(await gathered(self._consumer, _POLL_MS, _MOST_RECORDS))

    def take(self, fetched: Mapping[Any, Sequence[Any]]) -> None:
        """Check what was fetched, and count what is beyond a limit."""
        for place, records in fetched.items():
            check = self._decision if place.topic.endswith(SOURCES[0]) else self._snapshot
            for record in records:
                for broken in _found(check, record):
                    metrics.RISK_VIOLATIONS.labels(broken.portfolio).inc()
                    log.error(
                        "decision %s of %s was approved beyond %s",
                        *(broken.decision_id, broken.portfolio, ", ".join(broken.limits)),
                    )
        if self._recheck.n_unchecked > self._n_said:
            self._n_said = self._recheck.n_unchecked
            log.warning("%d orders so far had no account to hold them against", self._n_said)

    def _decision(self, value: bytes) -> list[Broken]:
        return self._recheck.take_decision(read_json(_DECISION, value))

    def _snapshot(self, value: bytes) -> list[Broken]:
        return self._recheck.take_snapshot(read_json(_SNAPSHOT, value))


def _found(check: Callable[[bytes], list[Broken]], record: Any) -> list[Broken]:  # noqa: ANN401  aiokafka's record has no types
    try:
        return check(record.value or b"")
    except RecordError as error:
        metrics.DEAD_LETTERS.labels(STAGE, error.reason).inc()
        log.warning("record %d of %s cannot be used: %s", record.offset, record.topic, error)
        return []
