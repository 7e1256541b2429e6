"""Write RISK_MANAGER_VALIDATION.md: ``python -m tests.evidence.validation.risk``.

About half an hour. A control that fewer than three tests are about stops it.
"""

import inspect
from typing import Any

from models.risk.controls import CONTROLS, Control
from models.risk.limits import RiskLimits
from tests.evidence.catalogue import CATALOGUE
from tests.evidence.measurement import Result, machine
from tests.evidence.validation import document
from tests.evidence.validation.control_tests import LEAST_TESTS, about
from tests.evidence.validation.document import table
from tests.simulation.small_model import LAYOUTS

COMMAND = "python -m tests.evidence.validation.risk"
NAME = "RISK_MANAGER_VALIDATION.md"
MEASURED = ("risk-prove", "risk-latency", "risk-race", "var-backtest")

_PURPOSE = """\
Every order passes all controls, in one order, at its place in the book's one log. What is shown
here: that no approved order broke a limit at the moment of its approval, at any prefix of any log
that was tried; how long a check takes; and how often losses exceeded the value at risk on real
returns. A figure that misses its promise is printed as it is.

The matrix *maps* controls to the rules that ask for such a control. It does not say that a firm
complies with them: that depends on the firm, its supervision and its venues."""

_JUDGE = """\
## How it was searched

- **The judge** (`tests/simulation/judge.py`, `shadow.py`, `statute.py`, `changes.py`) keeps an
  account of its own from the records alone, in integers and fractions, and shares no arithmetic
  with the product. After every record it holds cash, positions, reservations, exposure by sector,
  fees, realised result, the day and the switches of the fold against its own; reads every limit
  for every order and demands the very reasons that were given, in their order; demands that the
  allowed quantity passes and one lot more does not; that a refused order or poisoned bytes leave
  the account as it was; and that an id never has two values. VaR and correlation are floats: where
  one comes closer to its limit than one part in 1e9, the judge does not say.
- **Stories** are drawn by seed: bars that move, gap or leave symbols out, two partitions in any
  order the log allows, intents at the very quantity that is allowed and one lot more, reports of
  venues (fill, part, cancel, expiry, rejection, correction, too much, unknown order, wrong
  currency), limit changes, switches, splits, dividends, a book stated anew, repeated records,
  poison, records late and from the future, days that pass, snapshots, and restarts that read again
  from the last snapshot. Limits are drawn so that all of them bind; a story that never meets one
  of the controls' codes fails the test of every push. hypothesis plays the same rules in a smaller
  number, because it can make a failing log short; most of its time is its own.
- **The small model** walks every interleaving of three orders through approval, partial fill and
  fill, cancel or expiry, and kills the fold at each step.
- **Planted defects**: a search that cannot fail proves nothing. Each defect is a change of the
  product's source, planted in a process of its own, and must be found by the stories of a push."""

_LIMITS = """\
## What this does not show

- Stories and seeds are a sample. The small model is complete for three orders and no more.
- The judge was written by reading what the controls promise; where promise and judge share a
  misreading, both agree. It reads sizing's outcome, not whether a target was sized well.
- Exposure, value and loss are judged at the last closes, VaR at past returns: what happens between
  a check and a fill is bounded by the price collar and the limits, not by a proof.
- The judge follows one portfolio in one partition. Brokers, networks and disks are the subject of
  the tests in `tests/integration` and `tests/e2e`.
- The VaR backtest holds the weights of one book constant and takes stocks that survived until
  2022. Whether exceedances come in clusters is tested and printed; where independence is rejected,
  a bad day makes another one likelier than the limit assumes.
- A mapping to a rule is no statement of compliance."""


def main() -> None:
    """Measure everything and write the document."""
    matrix = _matrix()
    results = document.run(CATALOGUE[name] for name in MEASURED)
    sections = [
        "# Risk manager: validation",
        _PURPOSE,
        "## Verdict\n\n" + document.verdicts(results),
        _JUDGE,
        _proved(results["risk-prove"][1]),
        _speed(results["risk-latency"][1]),
        matrix,
        _backtest(results["var-backtest"][1]),
        _LIMITS,
    ]
    path = document.write(NAME, COMMAND, sections)
    print(path.relative_to(document.FOLDER.parents[1]))  # noqa: T201  a command speaks


def _proved(result: Result) -> str:
    parts = result.parts
    counts = table(
        ["What", "Count"],
        [
            ["steps of stories (records and restarts)", f"{parts['steps']:,}"],
            ["restarts in them", f"{parts['restarts']:,}"],
            ["orders judged", f"{parts['orders_judged']:,}"],
            ["of these approved", f"{parts['orders_approved']:,}"],
            ["dead letters", f"{parts['dead_letters']:,}"],
            [f"interleavings, {len(LAYOUTS)} layouts", f"{parts['interleavings']:,}"],
            ["their steps, each prefix once", f"{parts['interleaved_steps']:,}"],
            ["crashes in them", f"{parts['crashes']:,}"],
            ["defects planted", f"{parts['defects_planted']}"],
            ["defects found", f"{parts['defects_found']}"],
        ],
    )
    refusals = table(["Code", "Times"], [[f"`{c}`", f"{n:,}"] for c, n in _refusals(parts)])
    defects = table(["Defect", "Found by"], [[n, how] for n, how in parts["defects"].items()])
    return f"""\
## What was searched, and what was found

`tradewind evidence risk-prove`, profile `{parts["profile"]}`.

{counts}

Reasons that the judge and the fold gave alike, in all stories:

{refusals}

The defects, and what the judge said when it had found them ("judge, limit" is an approved order
over a limit; the other words are what differed):

{defects}"""


def _refusals(parts: Any) -> list[tuple[str, int]]:  # noqa: ANN401  parts of a result
    return list(parts["refusals"].items())


def _speed(result: Result) -> str:
    rows = [
        [name.replace("_", " "), f"{value:g}"]
        for name, value in result.parts.items()
        if "_ms_" in name
    ]
    return f"""\
## How long it takes

`tradewind evidence risk-latency`: one check at {result.parts["positions"]} positions over
{result.parts["days"]} days, then 200 intents of one bar. These are times on this machine with
whatever else ran on it; its load was {machine()["load_1min"]} when this was written, on
{machine()["cores"]} cores.

{table(["Part", "ms"], rows)}"""


def _matrix() -> str:
    rows = [_row(control) for control in CONTROLS]
    header = ["Control", "Codes", "Limit: default", "Binds reductions?", "Maps to", "Tests"]
    return f"""\
## Control matrix

In the order in which they are asked. "Binds reductions" says whether an order that only takes a
position back must pass, and why. RTS 6 is Commission Delegated Regulation (EU) 2017/589, 15c3-5 is
17 CFR 240.15c3-5. Three tests of each are named, out of as many as stand before them; the stories
meet every control besides.

{table(header, rows)}"""


def _row(control: Control) -> list[str]:
    tests = about(control)
    if len(tests) < LEAST_TESTS:
        raise AssertionError(
            f"{control.codes} has {len(tests)} tests; expected {LEAST_TESTS}: write them"
        )
    path = inspect.getmodule(control.find)
    where = "" if path is None else path.__name__.replace(".", "/") + ".py"
    defaults = RiskLimits()
    limits = ", ".join(f"`{key}`: {getattr(defaults, key)}" for key in control.limits)
    named = ", ".join(f"`{test.split('/')[-1]}`" for test in tests[:LEAST_TESTS])
    return [
        f"`{control.find.__name__}` ({where})",
        ", ".join(f"`{code}`" for code in control.codes),
        limits or "-",
        f"{'yes' if control.binds_reductions else 'no'}: {control.because}",
        control.rule or "-",
        f"{len(tests)}: {named}",
    ]


def _backtest(result: Result) -> str:
    rows = [
        [
            name,
            f"{row['days']:,}",
            f"{row['exceeded']:,}",
            f"{row['exceeded_percent']:.2f} %",
            _p(row["kupiec_p"]),
            _p(row["independence_p"]),
            _p(row["conditional_p"]),
        ]
        for name, row in result.parts.items()
        if isinstance(row, dict)
    ]
    header = [
        "Period and measure",
        "Days",
        "Exceeded",
        "Share (5 % meant)",
        "Kupiec p",
        "Independence p",
        "Both p",
    ]
    return f"""\
## Value at risk against what was lost

`tradewind evidence var-backtest`: the one-day VaR at 95 % of an equally weighted book of the
demo's 20 stocks, by the functions of the control, from the 250 days before each day. "larger" is
what the control takes. Bold p-values reject at 5 %: by Kupiec (1995) the number of exceedances, by
Christoffersen (1998) their independence, and both together.

{table(header, rows)}"""


def _p(value: float) -> str:
    return f"**{value:.4f}**" if value < 0.05 else f"{value:.4f}"


if __name__ == "__main__":
    main()
