"""A small model, all of it: three orders over three symbols, every order of events, every crash.

Each order lives through approval, a partial fill and an end (fill, cancel or expiry). All ways in
which the three lives can interleave are walked as one tree, so every prefix is visited once. At
every step the fold is also killed, twice over: a new one is made from the snapshot before the
event and folds it, which is what happens both if the worker dies before the event and if it dies
after it, unwritten. It must send the same bytes and come to the same state.

The limits leave room for some of the orders, so what is approved depends on what was cancelled
before. A refused order has no further life.

``python -m tests.simulation.small_model`` walks all layouts with all ends and prints the counts.
"""

import copy
import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agents.risk import RiskFold
from streams.ids import intent_decision_id
from streams.transport import Record
from tables.stamped import Stamped
from tests.builders import FREE, MIDNIGHT, MINUTE, Sent, record
from tests.simulation.judge import PORTFOLIO, Judge, Violation
from tests.simulation.setting import SYMBOLS
from tests.simulation.shadow import DAY_NS
from tests.simulation.story import Story

ENDS = ("fill", "cancel", "expire")
SIZE, PART = 100, 40

# Symbol and side of each of the three orders.
LAYOUTS: dict[str, tuple[tuple[str, int], ...]] = {
    "three symbols": ((SYMBOLS[0], 1), (SYMBOLS[1], 1), (SYMBOLS[2], -1)),
    "two symbols": ((SYMBOLS[0], 1), (SYMBOLS[1], 1), (SYMBOLS[1], -1)),
    "one symbol": ((SYMBOLS[2], 1), (SYMBOLS[2], -1), (SYMBOLS[2], 1)),
}
# Two and a half orders of a hundred units at 100 in a million; one and a half on one symbol.
GROSS = {"three symbols": 0.025, "two symbols": 0.025, "one symbol": 0.015}


class Counts(NamedTuple):
    """What was walked: complete interleavings, steps, and crashes."""

    interleavings: int
    steps: int
    crashes: int

    def plus(self, other: "Counts") -> "Counts":
        """Add up."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass
class Node:
    """A prefix of the log: the fold that was never killed, its judge, and what has happened.

    ``states`` is what a snapshot would hold.
    """

    fold: RiskFold
    judge: Judge
    states: dict[bytes, Stamped]
    offset: int
    done: tuple[tuple[str, ...], ...]


def begin(root: Path, layout: str) -> Node:
    """Warm a book of an external venue up."""
    limits = msgspec.structs.replace(FREE, max_gross_fraction=GROSS[layout], allow_short=True)
    story = Story(root, {"venue": "external", "limits": limits}).warm()
    fold = story.run.fold
    assert isinstance(fold, RiskFold)
    return Node(fold, story.judge, _states(fold), len(story.log), ((), (), ()))


def walk(root: Path, layout: str, ends: Sequence[str] = ENDS) -> Counts:
    """Walk all interleavings of a layout; the first defect raises a violation."""
    return _walk(begin(root, layout), LAYOUTS[layout], ends)


def _walk(node: Node, orders: Sequence[tuple[str, int]], ends: Sequence[str]) -> Counts:
    counts, is_leaf = Counts(0, 0, 0), True
    for number, kind in _next(node, ends):
        is_leaf = False
        life = (*node.done[number], kind)
        said = _event(node.offset, number, orders[number], life)
        child, sent = _lived_on(node, number, life, said)
        _killed(node, said, child, sent)
        counts = counts.plus(Counts(0, 1, 2)).plus(_walk(child, orders, ends))
    return Counts(1, 0, 0) if is_leaf else counts


def _next(node: Node, ends: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield what can happen next: the order's number and the event's kind."""
    for number, life in enumerate(node.done):
        if not life:
            yield number, "approve"
        elif _order_id(number) in node.judge.shadow.orders:
            yield from ((number, kind) for kind in (ends if len(life) > 1 else ("partial_fill",)))


def _order_id(number: int) -> str:
    return intent_decision_id(PORTFOLIO, f"k{number}", MIDNIGHT // DAY_NS)


def _event(
    offset: int, number: int, order: tuple[str, int], life: tuple[str, ...]
) -> dict[str, Any]:
    symbol, side = order
    kind = life[-1]
    quantity = {"approve": SIZE, "partial_fill": PART, "fill": SIZE - PART}.get(kind, 0)
    said: dict[str, Any] = {
        "portfolio": PORTFOLIO,
        "ts_event": MIDNIGHT + 3 * MINUTE + offset,
        "symbol": symbol,
        "side": "BUY" if side > 0 else "SELL",
        "quantity": quantity,
    }
    if kind == "approve":
        return said | {"record": "order_intent", "intent_id": f"k{number}"}
    said |= {"record": "venue_execution", "kind": kind, "decision_id": _order_id(number)}
    said |= {"execution_id": f"e{number}-{len(life)}", "price": 100 + number, "fee": 0.25}
    return said | {"currency": "USD", "venue": "X"}


def _lived_on(
    node: Node, number: int, life: tuple[str, ...], said: dict[str, Any]
) -> tuple[Node, list[Sent]]:
    """Let a copy of the fold that was never killed take the event, under the judge."""
    terms = node.judge.shadow.terms
    fold, judge = _copy(node.fold), copy.deepcopy(node.judge, {id(terms): terms})
    sent = list(fold.apply(_record(node.offset, said)))
    judge.follow(said, sent)
    book = fold.look(PORTFOLIO)
    assert book is not None
    judge.compare(book.account)
    done = tuple(life if n == number else one for n, one in enumerate(node.done))
    return Node(fold, judge, _states(fold), node.offset + 1, done), sent


def _killed(node: Node, said: dict[str, Any], child: Node, sent: list[Sent]) -> None:
    """Demand of a fold made from the snapshot before the event what the living one did."""
    fold = RiskFold(node.fold.epochs, node.states.get)
    again = list(fold.apply(_record(node.offset, said)))
    if again != sent:
        raise Violation("restart", f"{said} sent {again}, without a crash {sent}")
    if _states(fold) != child.states:
        raise Violation("restart", f"another state after {said}")


def _record(offset: int, said: dict[str, Any]) -> Record:
    value = json.dumps(said).encode()
    return record(value, offset, key=PORTFOLIO.encode(), topic="portfolio-events")


def _states(fold: RiskFold) -> dict[bytes, Stamped]:
    """Return what a snapshot would hold, without writing one."""
    states = dict(fold.snapshot().states)
    for book in fold.portfolios.values():
        book.is_dirty = True
    return states


def _copy(fold: RiskFold) -> RiskFold:
    """Copy a fold with its account; what only a bar would change is shared."""
    shared: list[object] = [fold.epochs, fold.latest]
    for book in fold.portfolios.values():
        shared += [book.slot, book.recent, book.account.rules]
    return copy.deepcopy(fold, {id(one): one for one in shared})


def main() -> None:
    """Walk everything and print what was walked."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        for layout in LAYOUTS:
            print(layout, walk(Path(folder), layout), flush=True)  # noqa: T201  a command speaks


if __name__ == "__main__":
    main()
