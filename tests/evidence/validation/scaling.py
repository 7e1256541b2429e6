"""Write docs/scaling.md: ``python -m tests.evidence.validation.scaling``.

A calculation, no measurement: what README and the validation documents say was measured is read
from them, multiplied out for more symbols, and put beside what it would need. Where a cost was
measured at one size only, it is taken to grow in proportion.
"""

import json
import math
import re
from pathlib import Path
from typing import NamedTuple

from streams.settings import Settings
from streams.topics import (
    FEATURE_SLICES,
    MARKET_TICKS,
    REGIME_PROBABILITIES,
    STRATEGY_WEIGHTS,
    TRADING_DECISIONS,
)
from tables.explanations import ONE_OF
from tests.evidence.validation.document import reflowed, table

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docs" / "scaling.md"

SYMBOLS = (200, 1_000, 2_000, 5_000, 10_000)
TICKS_PER_S = (1, 10)
_BARS_A_DAY = 24 * 60
_DAY_MS = 86_400_000
_COPIES = 3
_GB = 1e9
_PROMISED_MS = 150.0
_HOPS = 6
# In pairs, so that one more worker can take half of what another has.
_PARTITIONS_A_WORKER = 2

# What machines cost is yours to put in; these are for the arithmetic.
_USD_A_CORE_HOUR = 0.04
_USD_A_GB_MONTH = 0.10


class Source(NamedTuple):
    """Where a measured number stands: the document, the sentence around it, and what it is."""

    file: str
    pattern: str
    what: str
    command: str


SOURCES = {
    "ticks_per_s": Source(
        "README.md", r"one worker takes ([\d,]+) of", "ticks a second, one worker", "tick-rate"
    ),
    "chain_ms": Source(
        "README.md",
        r"last of 200 decisions: P50 [\d.]+ ms, P95 ([\d.]+) ms",
        "ms from the close to the last of 200 decisions, P95, one worker",
        "chain-latency",
    ),
    "chain_2000_ms": Source(
        "README.md",
        r"of 2,000 symbols P50 [\d.]+ and P95 ([\d.]+)",
        "the same of 2,000 symbols",
        "chain-latency",
    ),
    "book_ms": Source(
        "README.md",
        r"a bar with 200 approved orders P95 ([\d.]+) ms",
        "ms of the book for 200 approved orders, P95",
        "risk-latency",
    ),
    "rows_per_s": Source(
        "README.md",
        r"by time on the processor [\d,]+ and ([\d,]+)\.",
        "symbol-bars a second of one processor, whole chain in one process, 2,000 symbols",
        "backtest-speed",
    ),
    "explained_per_s": Source(
        "README.md", r"(\d+) explained rows per second", "explanations a second", "shap-rate"
    ),
    "audited_per_s": Source(
        "README.md",
        r"one process keeps ([\d,]+) decisions/s",
        "audited a second",
        "forensics-ingest",
    ),
    "decision_kb": Source(
        "README.md", r"decisions/s of (\d+) kB", "kB of a decision in Kafka", "forensics-ingest"
    ),
    "slice_bytes": Source(
        "docs/validation/DATA_PIPELINE_VALIDATION.md",
        r"slices \((\d+) bytes a symbol",
        "bytes of a row of features",
        "feature-disk",
    ),
    "state_bytes": Source(
        "docs/validation/DATA_PIPELINE_VALIDATION.md",
        r"snapshots \(([\d,]+) bytes a symbol",
        "bytes of a symbol's state in a snapshot",
        "feature-disk",
    ),
    "regime_bytes": Source(
        "streams/topics.py", r"A row takes (\d+) bytes in the one", "bytes of a row of regimes", ""
    ),
    "weights_bytes": Source(
        "streams/topics.py", r"and (\d+) in the other", "bytes of a row of weights", ""
    ),
    "decided": Source(
        "README.md", r"n decisions\s+([\d,]+)", "decisions of the demo", "demo-start"
    ),
    "ordered": Source(
        "README.md",
        r"sell approved ([\d,]+), buy approved ([\d,]+),\s+buy refused ([\d,]+)",
        f"of them orders and refusals, hence explained at once, as one in {ONE_OF} of the rest is",
        "demo-start",
    ),
}


def measured() -> dict[str, float]:
    """Return each number as its document states it; where it states parts, their sum.

    Raises
    ------
    ValueError
        If a document does not state it any more: which, and where it was looked for.
    """
    found = {}
    for name, source in SOURCES.items():
        text = (ROOT / source.file).read_text()
        match = re.search(source.pattern, text)
        if match is None:
            raise ValueError(
                f"{source.file} does not state {name} ({source.what}) any more; expected "
                f"{source.pattern!r}: correct the pattern"
            )
        found[name] = sum(float(number.replace(",", "")) for number in match.groups())
    return found


class Size(NamedTuple):
    """What a number of symbols at 1-minute bars needs."""

    n_symbols: int
    ticks_per_s: int
    n_workers: int
    n_books: int
    bound_by: str
    n_partitions: int
    latency_ms: float
    kafka_gb: float
    written_gb: float
    mb_per_s: float


def size(known: dict[str, float], n_symbols: int, per_s: int) -> Size:
    """Return what some symbols with so many ticks a second each need.

    The chain before the book is shared by workers; a book is one partition and decides alone. Every
    symbol is taken to have an approved order at every bar, which is the worst.
    """
    book_ms, chain_ms = (known[name] / 200 for name in ("book_ms", "chain_ms"))
    before_ms = chain_ms - book_ms
    n_books = math.ceil(n_symbols * book_ms / (_PROMISED_MS / 2))
    left_ms = _PROMISED_MS - n_symbols * book_ms / n_books
    by_close = math.ceil(n_symbols * before_ms / left_ms)
    by_ticks = math.ceil(n_symbols * per_s / known["ticks_per_s"])
    n_workers = max(by_close, by_ticks, 1)
    latency_ms = n_symbols * (before_ms / n_workers + book_ms / n_books)
    written = n_symbols * per_s * tick_bytes() * 86_400 + n_symbols * _BARS_A_DAY * row_bytes(known)
    return Size(
        n_symbols,
        per_s,
        n_workers,
        n_books,
        "closes" if by_close >= by_ticks else "ticks",
        n_workers * _PARTITIONS_A_WORKER,
        latency_ms,
        _COPIES * kept_bytes(known, n_symbols, per_s) / _GB,
        _COPIES * written / _GB,
        _COPIES * written / 86_400 / 1e6,
    )


def tick_bytes() -> int:
    """Return the size of README's first tick, as a producer sends it."""
    tick = {
        "symbol": "AAPL",
        "ts_event": "2026-01-05T14:30:00.000000001Z",
        "price": 271.35,
        "size": 100,
        "venue": "XNAS",
        "trade_id": "88123",
    }
    return len(json.dumps(tick))


def row_bytes(known: dict[str, float]) -> float:
    """Return the bytes that a symbol's bar puts into the topics whose rows were measured."""
    slices = known["slice_bytes"] + known["regime_bytes"] + known["weights_bytes"]
    return slices + known["decision_kb"] * 1_000


def kept_bytes(known: dict[str, float], n_symbols: int, per_s: int) -> float:
    """Return what one copy of these topics holds at once, with the segment that is not full yet."""
    of_bars = (
        (FEATURE_SLICES, known["slice_bytes"]),
        (REGIME_PROBABILITIES, known["regime_bytes"]),
        (STRATEGY_WEIGHTS, known["weights_bytes"]),
        (TRADING_DECISIONS, known["decision_kb"] * 1_000),
    )
    a_bar = sum(spec.kept_ms_max / _DAY_MS * _BARS_A_DAY * each for spec, each in of_bars)
    ticks = MARKET_TICKS.kept_ms_max / 1_000 * per_s * tick_bytes()
    return n_symbols * (a_bar + ticks)


def explained_share(known: dict[str, float]) -> float:
    """Return which part of the decisions is explained at once: orders, refusals, a sample."""
    ordered, decided = known["ordered"], known["decided"]
    return (ordered + (decided - ordered) / ONE_OF) / decided


def limits(known: dict[str, float]) -> list[tuple[str, str, str, str]]:
    """Return what gives way at how many symbols, the first one first, one of everything."""
    share = explained_share(known)
    book = 200 * _PROMISED_MS / known["book_ms"]
    most = Settings.model_fields["partitions"].metadata[1].le
    found = [
        (200 * _PROMISED_MS / known["chain_ms"], "a close within 150 ms, P95", "more workers"),
        (book, "one book's part of it alone", "more portfolios, each a book of its own"),
        (known["ticks_per_s"], "ticks, one a second each", "more workers"),
        (known["explained_per_s"] * 60 / share, "explanations within a bar", "more of that role"),
        (known["audited_per_s"] * 60, "the audit trail within a bar", "more of that role"),
        (book * most, f"{most} partitions, each with one book", "a second stack"),
    ]
    return [
        (f"{math.floor(at):,}", what, remedy, str(number))
        for number, (at, what, remedy) in enumerate(sorted(found), start=1)
    ]


def costs(known: dict[str, float]) -> list[list[str]]:
    """Return processor and disk of a million decisions, by part."""
    share = explained_share(known)
    million = 1_000_000
    seconds = {
        "chain, folded in one process (least)": million / known["rows_per_s"],
        "chain, live, a worker taken for busy all the way (most)": million
        * known["chain_ms"]
        / 200
        / 1_000,
        f"explanations, of {share:.0%} of them": million * share / known["explained_per_s"],
        "audit trail": million / known["audited_per_s"],
    }
    rows = [
        [part, f"{each:,.0f} s", f"{each / 3_600 * _USD_A_CORE_HOUR:.4f}"]
        for part, each in seconds.items()
    ]
    gb = _COPIES * row_bytes(known) * million / _GB
    weeks = gb * 7 / 30 * _USD_A_GB_MONTH
    return [*rows, [f"topics, {_COPIES} copies, for a week", f"{gb:.1f} GB", f"{weeks:.4f}"]]


def text() -> str:
    """Return the document."""
    known = measured()
    sections = [
        "# Scaling",
        _INTRODUCTION,
        f"## What is multiplied\n\n{_inputs(known)}",
        f"## Sizes\n\n{_SIZES_ARE}\n\n{_sizes(known)}",
        f"## What gives way first\n\n{_LIMITS_ARE}\n\n{_limits(known)}",
        f"## A million decisions\n\n{_COSTS_ARE}\n\n{_costs(known)}",
        _centres(known),
        _NOT_SHOWN,
    ]
    head = "<!-- Written by `python -m tests.evidence.validation.scaling`; do not edit. -->\n"
    blocks = "\n\n".join(sections).split("\n\n")
    return head + "\n" + "\n\n".join(map(reflowed, blocks)) + "\n"


def _inputs(known: dict[str, float]) -> str:
    rows = [
        [
            f"{known[name]:g}" if known[name] < 1_000 else f"{known[name]:,.0f}",
            source.what,
            f"`{source.command}`" if source.command else source.file,
        ]
        for name, source in SOURCES.items()
    ]
    rows.append([str(tick_bytes()), "bytes of a tick, as in its example", "README.md"])
    return table(["Measured", "What", "By"], rows)


def _sizes(known: dict[str, float]) -> str:
    rows = []
    for per_s in TICKS_PER_S:
        for n_symbols in SYMBOLS:
            one = size(known, n_symbols, per_s)
            rows.append(
                [
                    f"{one.n_symbols:,}",
                    str(one.ticks_per_s),
                    f"{one.n_workers} ({one.bound_by})",
                    str(one.n_books),
                    str(one.n_partitions),
                    f"{one.latency_ms:.0f}",
                    f"{one.mb_per_s:,.1f}",
                    f"{one.written_gb:,.1f}",
                    f"{one.kafka_gb:,.0f}",
                    str(brokers(one)),
                ]
            )
    header = ["Symbols", "Ticks/s each", "Workers (for)", "Books", "Partitions", "Close, ms"]
    return table([*header, "MB/s", "GB a day", "GB kept", "Brokers"], rows)


def brokers(one: Size) -> int:
    """Return how many brokers hold what is kept, 1 TB each and never fewer than the copies."""
    return max(_COPIES, math.ceil(one.kafka_gb / 1_000))


def _limits(known: dict[str, float]) -> str:
    rows = [[at, what, remedy] for at, what, remedy, _ in limits(known)]
    return table(["Symbols", "One of everything is used up by", "Then"], rows)


def _costs(known: dict[str, float]) -> str:
    return table(["Part", "Takes", "USD"], costs(known))


def _centres(known: dict[str, float]) -> str:
    spare_ms = _PROMISED_MS - known["chain_ms"]
    return f"""\
## Several data centres

A portfolio has one book, and a book decides in one place. Three ways, from near to far:

- **One cluster over three centres** of one city: a copy in each, `min.insync.replicas` of 2. A
  record then counts when a second centre has it, in each of the chain's {_HOPS} hops. Of
  {_PROMISED_MS:g} ms the chain needs {known["chain_ms"]:g} ms, which leaves {spare_ms:.1f} ms, so a
  way there and back may take {spare_ms / _HOPS:.1f} ms at most. The loss of a centre loses nothing
  that was acknowledged.
- **A second cluster that is fed beside** (MirrorMaker 2 for ticks, decisions and executions, for
  reading). Offsets differ there, and snapshots name offsets, so stages do not go on from copied
  changelogs: after the loss of the first centre a fresh stack is started, warm by `tradewind
  up --history`, its book opened with what the venue states by `tradewind book open`. What was
  acknowledged in the last moments and not yet copied is lost.
- **A stack in each centre**, for the markets that are near it, with portfolios of its own. Nothing
  is shared but the models, by their digest. Limits over all of them are limits per stack that add
  up to less.

Two centres cannot vote: with a copy in each and both needed, the loss of either stops all
writing."""


_INTRODUCTION = """\
From one machine to 10,000 symbols. This is arithmetic on what was measured on one machine with two
virtual processors that share a core. Of these sizes 200 and 2,000 symbols were run, on one worker;
the larger one stands among the measured numbers and is not multiplied. A number that a document no
longer states ends the calculation. Bars are of one minute, day and night."""

_SIZES_ARE = """\
*Close* is the time from a bar's last heartbeat to its last decision, P95. The part before the book
is shared by workers with a processor each, the book's part by portfolios, of which each may take
half of the 150 ms. It is the worst case: an approved order for every symbol at every bar. GB
count three copies of ticks, features, regimes, weights and decisions, uncompressed; a broker
holds 1 TB."""

_LIMITS_ARE = """\
With one worker, one portfolio and one process of each role, in the order in which they give way.
Memory and the broker are not in it: neither was measured by symbol."""

_COSTS_ARE = f"""\
At {_USD_A_CORE_HOUR} USD for a processor's hour and {_USD_A_GB_MONTH} USD for a GB and month,
which are assumptions; the seconds and bytes are not."""

_NOT_SHOWN = """\
## What this does not show

- **Proportion**: a hop has fixed costs, which 200 decisions share already, so larger closes come
  out too slow here; slices of 512 rows and caches of the processor may make them slower than that.
- **The barrier**: prediction waits for all partitions of a bar. With many workers the slowest one
  is what counts, and the tail of many is longer than that of one.
- **Network and replication**: latencies were measured on loopback with one copy.
- **Not counted**: bars, the book's log, snapshots of accounts and explanations in Kafka; SQL and
  Parquet; page cache. The broker keeps decisions as lz4, which makes the disk too large here.
- **Training** at 10,000 symbols: not measured.
- Several portfolios of a stack have books of their own, and the universe of each is chosen in the
  settings; netting between them is the venue's."""


if __name__ == "__main__":
    FILE.write_text(text())
