"""Write BENCHMARKS.md: ``python -m tests.evidence.validation.benchmarks [FILE]``.

About an hour and a half; the extra `bench` brings one peer, and the others get an environment of
their own. With a file of lines that ``tradewind evidence NAME --json`` printed, the measurements in
it are not repeated.
"""

import sys
from pathlib import Path

from tests.evidence.backtest_speed import BARS, TARGETS
from tests.evidence.catalogue import CATALOGUE
from tests.evidence.hop_throughput import OURS, PEERS
from tests.evidence.measurement import Result
from tests.evidence.scaling import BY_BARS, BY_SYMBOLS
from tests.evidence.validation import document
from tests.evidence.validation.document import table
from tests.evidence.validation.forensics import kept

COMMAND = "python -m tests.evidence.validation.benchmarks"
NAME = "BENCHMARKS.md"
MEASURED = (
    "backtest-speed",
    "rule-speed",
    "scaling",
    "backtest-memory",
    "replay-speed",
    "hop-throughput",
)

_DEFINITIONS = """\
## Definitions

- **Symbol-bar**: one bar of one symbol through all stages: bars, 60 features, regime, nine or
  more networks, weights, prediction, sizing, 21 controls for every order, the decision with its
  60 features as JSON, hashed and written as Parquet. Bars that warm up are not timed.
- **One core**: the process is held to one; BLAS has one thread. Other programs ran at the time, so
  the time on the processor stands beside that on the wall, by which the promise is judged.
- **Peer**: backtesting.py decides one symbol after the other. It gets our features of the whole
  series at once and the same models as functions; its own are the loop, the row of indicators,
  position sizing with a limit on one asset, orders and fills. Targets must be equal to the last
  bit. It checks one limit instead of 21 and writes nothing, which flatters the peer.
- **Rule**: one share of each of 200 symbols while its average of 10 bars is above that of 20.
  Here a step of a stage between bars and books, with 21 controls of every order and a decision for
  every bar; in NautilusTrader a strategy a symbol, as its documentation shows one, with its own
  risk engine. Both must turn at the same bars, and fill every order. Its bars are objects in memory
  before the time begins, ours are read from the file.
- **Replay**: ticks of 200 symbols on a broker, through one worker on fresh topics, from the first
  warm bar on, beside a bare consumer that reads the same topic.
- **Ratio**: of the times on the processor of one round, rounds in turns; the worst is what
  counts.
- **Hop**: consume, multiply price by volume, produce. A peer gets one JSON event a record, as its
  users would send them, and is written as its first pages say: a stock Faust agent with records, a
  data frame of Quix Streams, a dataflow of Bytewax, a loop of aiokafka with `getmany` and `send`.
  Here it is a stage as those of the chain, and 100 symbols are one record (an Arrow batch with all
  columns of a bar). All write with the acknowledgement of all replicas except where their default
  is another. Outputs are compared with the formula. Processes are held to one core; the rate is per
  second of the process's own time, so a broker beside it does not count."""

_LIMITS = """\
## What this does not show

- The targets are missed. The specialists' networks are a large part, and their bits are those of
  the live system, so they are not touched here: tiles of 32 rows are what makes a row's bits its
  own. Risk is the second: a row that trades is asked by 21 controls. Tried, and kept: nothing is
  encoded between stages; garbage is looked for seldom; ids and features of a decision are made in
  one go; a partition's ticks are one record; results are written column by column.
- A vectorised engine that computes positions from arrays is faster by orders of magnitude, and
  has neither reservations nor controls that see the order before.
- Rows are of several runs. That of memory is of an earlier version than the others, and the end of
  `scaling` had other programs on the second processor.
- `rule-speed` warms up here before its rounds, with 30 bars; NautilusTrader begins each round anew.
- Prices are random walks; the share of rows with an order stands beside each case, because orders
  cost most."""


def main(arguments: list[str]) -> None:
    """Measure what is not given and write."""
    given = kept(Path(arguments[0])) if arguments else {}
    results = {
        name: (CATALOGUE[name], given[name] if name in given else CATALOGUE[name].measure())
        for name in MEASURED
    }
    _, result = results["backtest-speed"]
    sections = [
        "# Benchmarks",
        "Rows come from one run; a figure that misses its promise is printed as it is.",
        f"## Verdict\n\n{document.verdicts(results)}",
        _DEFINITIONS,
        _cases(result),
        _scaling(results["scaling"][1], results["backtest-memory"][1]),
        _peer(result),
        _rule(results["rule-speed"][1]),
        _replay(results["replay-speed"][1]),
        _hop(results["hop-throughput"][1]),
        _LIMITS,
    ]
    document.write(NAME, COMMAND, sections)


def _hop(result: Result) -> str:
    rows = [
        [
            name,
            ", ".join(f"{rate:,}" for rate in result.parts[name]["per_processor_s"]),
            ", ".join(f"{rate:,}" for rate in result.parts[name]["per_s"]),
            f"{result.parts['ratios'].get(name, 1.0):g}",
        ]
        for name in (peer.name for peer in PEERS)
    ]
    header = ["", "Symbol events/s of processor time", "On the clock", f"Worst {OURS} to its best"]
    return f"""\
## One hop

`tradewind evidence hop-throughput`, {result.n:,} events in all.

{table(header, rows)}"""


def _cases(result: Result) -> str:
    parts = result.parts
    rows = []
    for n_symbols, n_bars in BARS.items():
        case = f"{n_symbols}_symbols_{n_bars}_bars"
        promised = f"{TARGETS[n_symbols]:,.0f}"
        rows.append(
            [
                f"{n_symbols:,}",
                f"{n_bars:,}",
                f"{parts[f'{case}_rows_per_s']:,}",
                promised,
                f"{parts[f'{case}_processor_rows_per_s']:,}",
                ", ".join(f"{each:g}" for each in parts[f"{case}_us_per_row"]),
                f"{parts[f'{case}_orders_share']:.1%}",
                f"{parts[f'{case}_memory_growth_mb']:g}",
            ]
        )
    shares = ", ".join(
        f"{stage} {share:.0%}" for stage, share in parts["200_symbols_200_bars_shares"].items()
    )
    header = [
        "Symbols",
        "Bars",
        "Symbol-bars/s",
        "Promise",
        "By processor time",
        "us each",
        "With an order",
    ]
    return (
        f"## Speed\n\n{table([*header, 'Memory growth, MB'], rows)}\n\n"
        f"Of the time at 200 symbols: {shares}."
    )


def _peer(result: Result) -> str:
    parts = result.parts
    took = ", ".join(f"{each:,.0f}" for each in parts["peer_processor_us_per_bar"])
    mine = parts["200_symbols_200_bars_processor_us_per_row"]
    ours = ", ".join(f"{each:g}" for each in mine)
    return (
        "## Beside backtesting.py\n\n"
        f"It took {took} us of the processor for a bar of a symbol, two symbols a round, and a "
        f"backtest {ours}: {parts['ratio_worst']:g} times as long in the worst pair, "
        f"{result.ratio:g} times in the median. "
        f"Targets equal: {'yes' if parts['targets_equal'] else '**no**'}."
    )


def _scaling(result: Result, memory: Result) -> str:
    rows = []
    for n_symbols, n_bars in dict.fromkeys((*BY_SYMBOLS, *BY_BARS)):
        found = result.parts[f"{n_symbols}_symbols_{n_bars}_bars"]
        rows.append(
            [
                f"{n_symbols:,}",
                f"{n_bars:,}",
                f"{found['rows']:,}",
                f"{found['processor_us_per_row']:g}",
                f"{found['us_per_row']:g}",
                f"{found['memory_growth_mb']:g}",
            ]
        )
    header = ["Symbols", "Bars", "Symbol-bars", "us of processor each", "us each", "Growth, MB"]
    return (
        f"## Scaling\n\n{table(header, rows)}\n\n"
        f"Over {memory.n:,} symbol-bars of one file, {memory.parts['symbols']} symbols, the "
        f"process grew by {memory.value:g} MB, at {memory.parts['processor_us_per_row']:g} us each."
    )


def _rule(result: Result) -> str:
    parts = result.parts
    mine, theirs = (", ".join(f"{x:g}" for x in parts[k]) for k in ("us_each", "peer_us_each"))
    return (
        "## Beside NautilusTrader\n\n"
        f"The rule took {mine} us of the processor for a bar of a symbol here and {theirs} there: "
        f"{result.ratio:g} times as long there, its best round beside our worst. "
        f"{parts['turns']:,} turns, equal: {'yes' if parts['turns_equal'] else '**no**'}; "
        f"all orders filled: {'yes' if parts['all_filled'] else '**no**'}."
    )


def _replay(result: Result) -> str:
    parts = result.parts
    mine, raw = (
        ", ".join(f"{rate:,}" for rate in parts[k])
        for k in ("symbol_bars_per_s", "raw_symbol_bars_per_s")
    )
    return (
        "## Replay on the broker\n\n"
        f"{mine} symbol-bars/s through one worker, {parts['times_as_it_happened']:g} times as fast "
        f"as 200 symbols with a bar a second happen; a bare consumer reads those of {raw}, so the "
        f"worst replay has {result.ratio:.2%} of the best reading."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
