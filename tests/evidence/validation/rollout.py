"""Write AB_TESTING_FRAMEWORK.md: ``python -m tests.evidence.validation.rollout [RESULTS]``.

About twenty minutes, most of them waiting for closes. RESULTS is a file of lines that ``tradewind
evidence NAME --json`` printed: what is in it is not measured again.
"""

import math
import sys
from pathlib import Path

from models import paired
from models.rollout import comparison, sample_ratio
from models.rollout.comparison import MIN_BARS, TIGHTEST_AT
from models.rollout.guards import LatencyRule
from models.rollout.stages import DWELL_NS, KEPT_NS, STAGES
from tests.evidence.ab_aa import AB_AA, N_BARS, N_RUNS, UPDATE_NOISE
from tests.evidence.ab_split import AB_SPLIT
from tests.evidence.measurement import Measurement, Result
from tests.evidence.rollback_time import CLEAN_LOG_MS, ROLLBACK_TIME
from tests.evidence.shadow_correlation import SHADOW_CORRELATION
from tests.evidence.shadow_inert import SHADOW_INERT
from tests.evidence.validation import document
from tests.evidence.validation.document import percent, table
from tests.evidence.validation.forensics import kept

COMMAND = "python -m tests.evidence.validation.rollout"
NAME = "AB_TESTING_FRAMEWORK.md"
_DAY_NS = 86_400 * 10**9

_PURPOSE = """\
How models replace others step by step: who decides for what, what is compared and what that proves,
and how fast it goes back. A figure that misses its promise is printed as it is."""

_DEFINITIONS = """\
## Definitions

- **Unit**: a symbol of a portfolio. The challenger decides for it if SHA-256 of rollout, portfolio
  and symbol, as a number between 0 and 1, is below the share.
- **Arms**: champion and challenger both wish for every row; one of them decides it. So every
  comparison is of the same rows, in shadow as well.
- **Loss**: log loss, in nats, of the probability of a rise by the next close, mean over the symbols
  of a bar. **Earned**: return of a book of long targets, marked at the next close, without costs.
- **Side**: what a book without a position would do: buy from a target of {side} of equity on, sell
  from as much below zero, else hold.
- **Bounds**: asymptotic confidence sequence at {level} (Waudby-Smith et al. 2024, theorem 2.2),
  tightest at {tightest:,.0f} bars; it may be looked at after every bar.
- **Goes on**: from {bars} bars on, if what the challenger loses more is shown to be at most
  {tolerance} of what the champion gains over ln 2 (of at least {gain:.4f} nats) and is not above
  zero for certain, if less was not earned for certain, if each arm that has units decided, the arms
  have the right sizes, no order broke a limit, latency is within its bound, and the challenger was
  silent on at most {silent} of the rows of the last {bars} bars. By itself when as much time as a
  stage lasts was judged: bars with an outcome, and those for which no market was open. Not while
  closes are missing, nor before the role has read what came while it was away.
- **Goes back**: P95 of the last {decisions} decisions, {span} s of them at least, above {p95} ms;
  an order of the challenger approved beyond a limit, by the account that was published with it;
  {harm} bars in a row on which a challenger that decides wishes nothing; from {harm} bars on, a
  loss more than {worse} higher and higher for certain, or earnings lower by more than {worse} for
  certain; models, or what they learned from, that learning took back.
- **Sample ratio**: chi squared on the units of each arm, alarm below {alarm}; and any unit that was
  decided by the other arm than the hash says."""

_LIMITS = """\
## What this does not show

- Few units can leave a share empty: with ten symbols 5 % is nobody in six of ten rollouts. The
  evidence says how many there are; the paired comparison of all rows goes on.
- Arms share one book. What each would have earned by its own fills is not known; targets are
  compared, not fills.
- The confidence sequence is asymptotic and takes the differences of neighbouring bars as if they
  did not depend on each other.
- Latency is of both arms together: they run in one stage. An outage can end a rollout.
- An account shows the limits of one asset, a sector, leverage and gross exposure, and short sales.
  Value at risk, correlation, rates and prices are not held against it a second time; orders that
  people send between two bars only against their own words.
- The clean hours are drawn, not recorded: two arms that are alike, and latencies that are lognormal
  around {latency} ms. How often a live feed would end a rollout they do not say.
- The runs of `ab-aa` are drawn. Real differences have heavier tails.
- `rollback-time` has role and clock in one process beside an embedded broker, on bars of a second;
  with bars of a minute the next close is up to a minute away, and it is the first that the champion
  decides."""


def main(arguments: list[str]) -> None:
    """Measure what is not given and write the document."""
    given = kept(Path(arguments[0])) if arguments else {}
    results: dict[str, tuple[Measurement, Result]] = {
        each.name: (each, given[each.name] if each.name in given else each.measure())
        for each in (AB_AA, AB_SPLIT, SHADOW_INERT, SHADOW_CORRELATION, ROLLBACK_TIME)
    }
    rule = LatencyRule()
    sections = [
        "# Rollouts of models: validation",
        _PURPOSE,
        "## Verdict\n\n" + document.verdicts(results),
        _stages(),
        _DEFINITIONS.format(
            side=percent(comparison.SIDE_FRACTION),
            level=percent(1.0 - paired.LEVEL, 0),
            bars=MIN_BARS,
            tightest=TIGHTEST_AT,
            tolerance=percent(paired.TOLERANCE_FRACTION, 0),
            gain=paired.SMALLEST_GAIN_NATS,
            decisions=rule.min_decisions,
            span=rule.min_span_ns // 10**9,
            p95=f"{rule.max_p95_ms:g}",
            harm=comparison.MIN_BARS_OF_HARM,
            silent=percent(comparison.MOST_SILENT_FRACTION, 0),
            worse=percent(paired.MAX_DEGRADATION_FRACTION, 0),
            alarm=sample_ratio.ALARM_BELOW,
        ),
        _alike(results[AB_AA.name][1]),
        _split(results[AB_SPLIT.name][1]),
        _inert(results[SHADOW_INERT.name][1]),
        _correlation(results[SHADOW_CORRELATION.name][1]),
        _back(results[ROLLBACK_TIME.name][1]),
        _LIMITS.format(latency=round(math.exp(CLEAN_LOG_MS))),
    ]
    path = document.write(NAME, COMMAND, sections)
    print(path.relative_to(document.FOLDER.parents[1]))  # noqa: T201  a command speaks


def _stages() -> str:
    rows = [[stage.name, percent(stage.share, 0)] for stage in STAGES]
    return f"""\
## Stages

{table(["Stage", "Challenger decides"], rows)}

A stage lasts {DWELL_NS // _DAY_NS} days before it ends by itself; a person may end it before,
on the same evidence. At 100 % the champion wishes beside the challenger, so comparison and guards
go on; the rollout is done behind that stage. What was replaced stays for
{KEPT_NS // _DAY_NS} days at least."""


def _alike(result: Result) -> str:
    parts = result.parts
    rows = [
        [
            "an update" if row["gain"] is None else "noise of its own",
            f"{row['loss_difference']:+.4f}",
            percent(row["called_better"]),
            percent(row["called_worse"]),
            percent(row["shown_harmless"]),
            "-"
            if row["median_bars_to_harmless"] is None
            else f"{row['median_bars_to_harmless']:,g}",
        ]
        for row in parts["power"]
    ]
    header = ["Challenger", "Difference, nats", "Called better", "Called worse", "May go on"]
    header.append("Median bars to it")
    return f"""\
## Equal arms, and power

{N_RUNS:,} runs of {N_BARS:,} bars, looked at after every bar from the {MIN_BARS}th on, tightest at
{TIGHTEST_AT:,.0f}: equal arms were called different in {result.value:.1f} % of runs at any look. A
challenger at the edge, every loss higher by a twentieth of what the champion gains
({parts["edge_nats"]:.5f} nats), was let go on in
{percent(parts["promoted_at_the_edge_fraction"])}; an update at the edge, which is the champion but
for a noise of {UPDATE_NOISE} in its probabilities, in
{percent(parts["updates_promoted_at_the_edge_fraction"])}. A mean with 1.96 standard errors, looked
at as often, called {percent(parts["naive_fraction"])} different.

{table(header, rows)}

Whose errors are its own must be better to be shown harmless within these bars; what is as good
goes on if it is near the champion, as updates are."""


def _split(result: Result) -> str:
    parts = result.parts
    rows = [
        [name, *(f"{count:,}" for count in counts.values())]
        for name, counts in parts["counts"].items()
    ]
    bands = [f"{low:,} to {high:,}" for low, high in parts["bands"].values()]
    return f"""\
## Who is in a share

{table(["Rollout", *parts["bands"]], [*rows, ["99.9 % band", *bands]])}

Units that changed sides when the share grew, or when asked again:
{parts["units_that_changed_sides"]}. In the 5 % of two rollouts in a row:
{percent(parts["in_two_rollouts_in_a_row_fraction"], 2)}, expected
{percent(parts["expected_fraction"], 2)}."""


def _inert(result: Result) -> str:
    parts = result.parts
    rows = [
        [name, str(count), f"{parts['differ_in_a_canary'][name]:,}"]
        for name, count in parts["differ_in_shadow"].items()
    ]
    alone, beside = parts["stage_without"], parts["stage_with_a_shadow"]
    return f"""\
## Shadow

{table(["Records", "Differ in shadow", "Differ in a canary of 25 %"], rows)}

Of {result.n:,} records, byte by byte. The stage prediction took {alone["p50_ms"]:.2f} ms (P95
{alone["p95_ms"]:.2f}) without a challenger and {beside["p50_ms"]:.2f} ms
({beside["p95_ms"]:.2f}) with one, for a slice of {parts["rows_a_slice"]:g} rows."""


def _correlation(result: Result) -> str:
    rows = [
        [
            f"`{mode}`",
            f"{row['target_correlation']:.4f}",
            percent(row["agreement_fraction"]),
            f"{row['weight_distance']:.4f}",
            f"{row['largest_target_difference']:.3f}",
        ]
        for mode, row in result.parts.items()
    ]
    header = [
        "Update",
        "Correlation",
        "Same side",
        "Weights apart",
        "Largest difference of targets",
    ]
    return f"""\
## A champion and its own update

{table(header, rows)}

{result.n:,} rows of days that neither knew."""


def _back(result: Result) -> str:
    parts = result.parts
    rows = [
        [trigger, f"{row['p50_s']:.2f}", f"{row['worst_s']:.2f}", str(row["n"])]
        for trigger, row in parts.items()
        if isinstance(row, dict)
    ]
    return f"""\
## The way back

{table(["Trigger", "Median, s", "Worst, s", "n"], rows)}

From the acknowledged record to the first close that the champion decides again. In
{parts["clean_hours"]} clean hours of bars of a second {len(parts["ended_in_clean_hours"])} rollouts
were ended."""


if __name__ == "__main__":
    main(sys.argv[1:])
