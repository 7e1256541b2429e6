"""I2: an id names one record for ever, and is the one that the contract says."""

from typing import Any

from tests.chaos.judge.exact import paper_id, slot_id, time_ns, venue_id
from tests.chaos.judge.record import Record, digest
from tests.chaos.judge.verdict import Invariant


class Ids:
    """All ids of a run, each with the digest of its bytes; some 200 bytes of memory a record."""

    def __init__(self, ids: Invariant) -> None:
        self._ids = ids
        self._known: dict[tuple[str, str], tuple[bytes, int]] = {}

    def is_first(self, name: str, record: Record) -> bool:
        """Tell whether an id is new; one that comes again must have the same bytes."""
        self._ids.n_checked += 1
        said = digest(record.value)
        before, offset = self._known.setdefault((record.topic, name), (said, record.offset))
        if before != said:
            expected = f"the bytes of offset {offset}, or another id"
            self._ids.broken(record.place, f"{name} with other bytes", expected)
        return offset == record.offset

    def decision(self, said: dict[str, Any], record: Record) -> None:
        """Check the id of a decision against its slot; that of an intent needs the book's day."""
        if said.get("intent_id"):
            return
        close_ns = time_ns(said["timestamp"])
        expected = slot_id(said["portfolio"], said["timeframe"], close_ns, said["symbol"])
        self._ids.equal(record.place, "decision_id", said["decision_id"], expected)

    def execution(self, said: dict[str, Any], record: Record) -> None:
        """Check the id of an execution against its order, or against what the venue called it."""
        of_venue = said.get("venue_execution_id", "")
        if of_venue:
            mine = {venue_id(said["portfolio"], of_venue, part) for part in ("", "undone")}
        else:
            mine = {paper_id(said["decision_id"], said["kind"], time_ns(said["ts_event"]))}
        if said["execution_id"] not in mine:
            found = f"execution_id {said['execution_id']}"
            self._ids.broken(record.place, found, f"execution_id {min(mine)}")
