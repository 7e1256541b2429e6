"""The identity of a run that is on a broker: read from its decisions, as anybody could."""

from collections.abc import Callable, Collection

import msgspec

from agents.run.topic_log import partitions, reading, records
from streams.errors import TopicError
from streams.timestamps import LATEST_NS, parse_ns
from streams.topics import PORTFOLIO_SNAPSHOTS, TRADING_DECISIONS
from tables.counted import Counted
from tables.identity import Identity


class Named(msgspec.Struct):
    """What of a decision says which one it is."""

    timestamp: str
    decision_id: str
    portfolio: str
    symbol: str
    intent_id: str = ""


class _Snapshot(msgspec.Struct):
    timestamp: str
    portfolio: str


_SNAPSHOT = msgspec.json.Decoder(_Snapshot)
_NAMED = msgspec.json.Decoder(Named)


async def decided_up_to(servers: str, prefix: str, portfolios: Collection[str]) -> int:
    """Return the last close that all of some portfolios have decided; -1 if there is none."""
    last = dict.fromkeys(portfolios, -1)
    async with reading(servers) as consumer:
        for at in await partitions(servers, prefix + PORTFOLIO_SNAPSHOTS.name):
            async for record in records(consumer, at):
                said = _SNAPSHOT.decode(record.value or b"")
                if said.portfolio in last:
                    last[said.portfolio] = max(last[said.portfolio], parse_ns(said.timestamp))
    return min(last.values(), default=-1)


async def identity_of(
    servers: str,
    prefix: str,
    seen: Callable[[Named, bytes], None] | None = None,
    after_ns: int = -1,
    before_ns: int = LATEST_NS,
) -> Identity:
    """Read the decisions of a run to their present end; what was sent again counts once.

    ``seen`` is called with each decision and its bytes; those from ``before_ns`` on are left out,
    and those that do not come behind ``after_ns``, see :class:`Counted`.

    Raises
    ------
    TopicError
        If the run has no topic of decisions.
    DecisionConflict
        If a decision came again with other bytes.
    """
    topic = prefix + TRADING_DECISIONS.name
    places = await partitions(servers, topic)
    if not places:
        raise TopicError(f"there is no topic {topic} at {servers}; expected that of a run")
    identity, counted = Identity(may_repeat=True), Counted(after_ns)
    async with reading(servers) as consumer:
        for place in places:
            async for record in records(consumer, place):
                value = record.value or b""
                said = _NAMED.decode(value)
                ts_ns = parse_ns(said.timestamp)
                named = said.portfolio, ts_ns, said.decision_id
                if ts_ns >= before_ns or not counted.holds(*named, is_bar=not said.intent_id):
                    continue
                is_new = identity.add(said.portfolio, ts_ns, said.symbol, said.decision_id, value)
                if is_new and seen is not None:
                    seen(said, value)
    return identity
