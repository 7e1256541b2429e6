"""I7: the rows of SQL are what the topics said, to the last digit, and there are no others."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import chain
from typing import Any

from tests.chaos.judge.documents import canonical_digest
from tests.chaos.judge.exact import time_ns
from tests.chaos.judge.letters import Letters
from tests.chaos.judge.record import (
    Record,
    Slice,
    Source,
    all_records,
    read_json,
    read_object,
    read_slice,
)
from tests.chaos.judge.verdict import Invariant

Row = dict[str, Any]
Key = tuple[Any, ...]
Expected = Iterator[tuple[Key, Row, str]]

_CHANGES = {"limit_change", "trading_state", "book_open", "split", "dividend", "risk_parity"}
_SLOT = ("timeframe", "symbol", "bar_close")
_MONEY = ("equity", "cash", "gross", "realised", "unrealised", "fees")


class Audit:
    """Tables against topics; the rows of one table are held at a time."""

    def __init__(self, source: Source, letters: Letters, audit: Invariant) -> None:
        self._source, self._letters, self._audit = source, letters, audit
        self._missing_allowed: set[Key] = set()

    def check(self) -> None:
        """Compare all tables; where no database was given there are none to compare."""
        if not any(topic.startswith("sql/") for topic in self._source.topics()):
            self._audit.notes.append("not compared: no rows are at hand; give --database")
            self._audit.least = 0
            return
        for name, (keys, expect) in _TABLES.items():
            if f"sql/{name}" in self._source.topics():
                self._compare(name, keys, expect(self))
            else:
                self._audit.broken(f"sql/{name}", "no such table", "the rows of the run")

    def _compare(self, name: str, keys: tuple[str, ...], expected: Expected) -> None:
        """Compare one table with what is expected of it, key by key."""
        self._missing_allowed = set()
        rows: dict[Key, tuple[Row, str]] = {}
        for key, row, place in expected:
            rows.setdefault(key, (row, place))
        columns: set[str] = set()
        n_before = self._audit.n_checked
        for record in all_records(self._source, f"sql/{name}"):
            self._audit.n_checked += 1
            found = read_json(record.value)
            key = tuple(_plain(found[column]) for column in keys)
            row, place = rows.pop(key, (None, ""))
            where = f"{record.topic} {' '.join(map(str, key))}"
            if row is None:
                self._audit.broken(where, "a row", "none, or one only: no record says it")
                continue
            columns.update(row.keys() & found.keys())
            self._compare_row(where, found, row, place)
        for key, (_, place) in rows.items():
            if key not in self._missing_allowed:
                where = f"sql/{name} {' '.join(map(str, key))}"
                self._audit.broken(where, "no row", f"one of {place}")
        n = self._audit.n_checked - n_before
        self._audit.notes.append(f"{name}: {n:,} rows, {len(keys) + len(columns)} columns compared")

    def _compare_row(self, where: str, found: Row, row: Row, place: str) -> None:
        for column, value in row.items():
            if column in found and not _is_same(found[column], value):
                said = f"{column} {found[column]}"
                self._audit.broken(where, said, f"{column} {value}, as {place}")

    def slices(self, topic: str) -> Iterator[Slice]:
        """Yield the readable slices of a topic."""
        for record in all_records(self._source, topic):
            slice_ = read_slice(record)
            if slice_ is not None:
                yield slice_

    def by_slot(self, topic: str, columns: dict[str, tuple[str, ...]]) -> Expected:
        """Yield a row for each symbol of each slice; list columns are spread by name."""
        for slice_ in self.slices(topic):
            meta, batch = slice_.meta, slice_.batch
            if not batch.num_rows:
                continue
            lists = [batch.column(name).to_pylist() for name in columns]
            for n, symbol in enumerate(batch.column("symbol").to_pylist()):
                key = (meta["timeframe"], symbol, meta["close_ns"])
                values = chain.from_iterable(each[n] for each in lists)
                names = chain.from_iterable(columns.values())
                row = {name: _float(value) for name, value in zip(names, values, strict=False)}
                yield key, row | {"epoch": meta["epoch"]}, slice_.record.place

    def regimes(self) -> Expected:
        """Yield the rows of ``regime_history``."""
        names = ("bull", "bear", "sideways", "entropy_bits")
        return self.by_slot("regime-probabilities", {"regime": names})

    def weights(self) -> Expected:
        """Yield the rows of ``weight_decisions``."""
        regimes = ("bull", "bear", "sideways")
        weights = tuple(f"{name}_specialist" for name in regimes)
        scores = tuple(f"{name}_score" for name in regimes)
        return self.by_slot("strategy-weights", {"weights": weights, "scores": scores})

    def epochs(self) -> Expected:
        """Yield the rows of ``epochs``; the document's digest is looked at, too."""
        for record in all_records(self._source, "sql/epochs"):
            said = read_json(record.value)
            actual = canonical_digest(_with_floats(said["document"]))
            where = f"sql/epochs {said['epoch']}"
            self._audit.equal(where, "digest of the document", actual, said["digest"])
        topics = ("regime-probabilities", "strategy-weights")
        for slice_ in chain.from_iterable(self.slices(topic) for topic in topics):
            yield (slice_.meta["epoch"], slice_.meta["epoch_digest"]), {}, slice_.record.place

    def accounts(self) -> Iterator[tuple[Record, Row]]:
        """Yield the accounts after each bar."""
        for record in all_records(self._source, "portfolio-snapshots"):
            said = read_object(record.value)
            if said is not None:
                yield record, said

    def metrics(self) -> Expected:
        """Yield the rows of ``risk_metrics``."""
        for record, said in self.accounts():
            money = {name: Decimal(said[name]) for name in _MONEY}
            risk = said["risk"]
            days = {n: Decimal(risk[n]) for n in ("day_open_equity", "peak_equity")}
            row = risk | days | money | {"currency": said["currency"]}
            yield (said["portfolio"], time_ns(said["timestamp"])), row, record.place

    def positions(self) -> Expected:
        """Yield the rows of ``positions``."""
        for record, said in self.accounts():
            for held in said["holdings"]:
                money = {n: Decimal(held[n]) for n in ("price", "notional", "cost", "unrealised")}
                key = (said["portfolio"], held["symbol"], time_ns(said["timestamp"]))
                yield key, held | money, record.place

    def changes(self) -> Expected:
        """Yield the rows of ``book_changes``; what the book refused may have one."""
        for record in all_records(self._source, "portfolio-events"):
            said = read_object(record.value) if (record.value or b"")[:1] == b"{" else None
            if said is None or said.get("record") not in _CHANGES:
                continue
            key = (said.get("portfolio"), said.get("change_id"))
            if self._letters.get("risk", record) is not None:
                self._missing_allowed.add(key)
            place = {"log_partition": record.partition, "log_offset": record.offset}
            row = {name: said.get(name) for name in ("record", "actor", "role", "reason")}
            yield key, row | place | {"document": said}, record.place

    def decisions(self) -> Expected:
        """Yield the rows of ``decision_audit``: one a record, repeats too, by where it stands."""
        for record in all_records(self._source, "trading-decisions"):
            said = read_object(record.value)
            if said is not None:
                plain = {k: v for k, v in said.items() if not isinstance(v, dict | list)}
                yield (record.partition, record.offset), plain, record.place


_TABLES: dict[str, tuple[tuple[str, ...], Callable[[Audit], Expected]]] = {
    "epochs": (("epoch", "digest"), Audit.epochs),
    "regime_history": (_SLOT, Audit.regimes),
    "weight_decisions": (_SLOT, Audit.weights),
    "risk_metrics": (("portfolio", "bar_close"), Audit.metrics),
    "positions": (("portfolio", "symbol", "bar_close"), Audit.positions),
    "book_changes": (("portfolio", "change_id"), Audit.changes),
    "decision_audit": (("log_partition", "log_offset"), Audit.decisions),
}


def _float(value: float) -> Decimal | None:
    """Return a float as the shortest decimal that names it, which both sides print; NaN is null."""
    return None if value != value else Decimal(repr(value))  # noqa: PLR0124  only NaN differs from itself


def _is_same(found: Any, value: Any) -> bool:  # noqa: ANN401  any values of JSON
    """Tell whether values are equal; of a document, in the fields that both have."""
    if isinstance(found, dict) and isinstance(value, dict):
        return all(_is_same(found[name], each) for name, each in value.items() if name in found)
    return bool(_plain(found) == _plain(value))


def _plain(value: Any) -> Any:  # noqa: ANN401  any value of JSON
    """Return a value as it compares: times in nanoseconds."""
    try:
        return time_ns(value) if isinstance(value, str) and value[4:5] == "-" else value
    except ValueError:
        return value


def _with_floats(document: Any) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(document, dict):
        return {key: _with_floats(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_with_floats(value) for value in document]
    return float(document) if isinstance(document, Decimal) else document
