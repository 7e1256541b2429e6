"""Write ONLINE_LEARNING_VALIDATION.md: ``python -m tests.evidence.validation.learning [FILE]``.

About an hour. With a file of lines that ``tradewind evidence NAME --json`` printed, the
measurements in it are not repeated; the sweep of strengths and rates is shown if the file has it.
"""

import sys
from pathlib import Path
from typing import Any

from models import paired
from models.learning.settings import MODES, NOT_LEARNING_FRACTION
from tests.evidence import learning_streams
from tests.evidence.ewc_fisher import EWC_FISHER
from tests.evidence.learning_arms import (
    BLOCK_BARS,
    EWC_RECOMMENDED,
    EWC_SAFE,
    L2_ARMS,
    LEARNING_ARMS,
    SEEDS,
    WINDOW_BARS,
)
from tests.evidence.learning_sweep import LEARNING_SWEEP
from tests.evidence.measurement import Measurement, Result
from tests.evidence.model_rebuild import MODEL_REBUILD
from tests.evidence.poison_rollback import POISON_ROLLBACK
from tests.evidence.validation import document
from tests.evidence.validation.document import percent, settings_line, table
from tests.evidence.validation.forensics import kept

COMMAND = "python -m tests.evidence.validation.learning"
NAME = "ONLINE_LEARNING_VALIDATION.md"
MEASURED = (EWC_FISHER, LEARNING_ARMS, POISON_ROLLBACK, MODEL_REBUILD)

_PURPOSE = """\
What daily updates of the specialists do to their losses, what they forget, and whether one that
went wrong is kept from serving. A figure that misses its promise is printed as it is."""

_DEFINITIONS = """\
## Definitions

- **Stream**: bars behind what the networks were fitted on, one a day. At each bar an arm may learn
  from the {window} bars before it (60 days) whose labels are known, and is then judged on the bar.
- **Loss**: log loss, in nats, of the probability that would be served: regime probabilities as
  weights, calibration of the fit. Mean over the symbols of a bar.
- **Degradation**: mean loss of a window of {span} bars (30 days) over that of the networks as they
  were fitted, less one. Intervals are 95 %, circular blocks of {block} bars.
- **Planted drift**: {symbols} symbols and {features} features; the rule of the labels turns by
  sixty degrees on day {drift}. *New* is the change of loss against static behind the drift, *old*
  that on bars of before at the stream's end: what was forgotten. Mean and standard error over the
  seeds {seeds}, which were used for nothing before.
- **Moved**: distance of the weights from their fit over their length. Below {least} an update says
  `is_learning: false`.
- **Arms**: every one by Adam, which begins anew each day. Naive holds nothing; L2 holds every
  weight alike; replay joins as many rows of the training stretch, drawn anew; EWC holds by the
  diagonal Fisher information of the training stretch. All but the mission's numbers at a rate of
  1e-3. The networks are those of the product, one to a regime, and learn from all of its rows."""

_LIMITS = """\
## What this does not show

- The networks' task on daily stocks is next to nothing: the static loss is close to ln 2. An arm
  that does not move looks good there, and one that moves pays.
- The planted drift has rows without a scale of their own. There the information differs little
  between weights, and L2 towards the fit comes close to EWC; how far depends on the world.
- Strengths were chosen on the development seeds 1 and 2, of the planted world only.
- Regimes, controller and calibration do not learn.
- The gate judges 30 days. What does harm later is found by the next updates, not before.
- Labels of neighbouring bars depend on each other; the confidence sequence takes their differences
  of loss as if they did not."""


def main(arguments: list[str]) -> None:
    """Measure what is not given and write the document."""
    given = kept(Path(arguments[0])) if arguments else {}
    results: dict[str, tuple[Measurement, Result]] = {
        each.name: (each, given[each.name] if each.name in given else each.measure())
        for each in MEASURED
    }
    arms = results[LEARNING_ARMS.name][1]
    swept = given.get(LEARNING_SWEEP.name)
    if swept is not None:
        results[LEARNING_SWEEP.name] = (LEARNING_SWEEP, swept)
    sections = [
        "# Models that learn: validation",
        _PURPOSE,
        "## Verdict\n\n" + document.verdicts(results),
        _settings(),
        *([] if swept is None else [_sweep(swept)]),
        _DEFINITIONS.format(
            window=60 * learning_streams.BARS_A_WEEK // learning_streams.DAYS_A_WEEK,
            span=WINDOW_BARS,
            block=BLOCK_BARS,
            symbols=learning_streams.N_SYMBOLS,
            features=learning_streams.N_FEATURES,
            drift=learning_streams.DRIFT_AT,
            seeds=", ".join(map(str, SEEDS)),
            least=percent(NOT_LEARNING_FRACTION),
        ),
        _real(arms),
        _planted(arms),
        _poison(results[POISON_ROLLBACK.name][1]),
        _fisher(results[EWC_FISHER.name][1]),
        _rebuilt(results[MODEL_REBUILD.name][1]),
        _LIMITS,
    ]
    path = document.write(NAME, COMMAND, sections)
    print(path.relative_to(document.FOLDER.parents[1]))  # noqa: T201  a command speaks


def _settings() -> str:
    rows = [[f"`{name}`", settings_line(each.record())] for name, each in MODES.items()]
    return f"""\
## Settings

{table(["Mode", "Settings"], rows)}

`safe` is the default: the mission's numbers. On these networks they nearly freeze them, which the
column *moved* says. Refused is a candidate that loses more for certain, that is not shown to lose
at most {percent(paired.TOLERANCE_FRACTION, 0)} of what the champion gains over ln 2 (of at least
{paired.SMALLEST_GAIN_NATS:.4f} nats), by both also beside the fit, or that is worse by more than
{percent(paired.MAX_DEGRADATION_FRACTION, 0)} in loss or Sharpe ratio, or has none; confidence
sequence at {percent(1.0 - paired.LEVEL, 0)} (Waudby-Smith et al. 2024)."""


def _sweep(result: Result) -> str:
    rows = [
        [
            f"**{name}**" if name in {result.parts["recommended"], result.parts["safe"]} else name,
            f"{cell['new']:+.3f}",
            f"{cell['old']:+.3f}",
            percent(cell["from_base_fraction"], 2),
        ]
        for name, cell in result.parts["cells"].items()
    ]
    better = ", ".join(result.parts["dominated_by"]) or "none"
    return f"""\
## What strength and rate do

Planted drift (see below) on the two development seeds; where nothing else is said the information
has a mean of one, and a prior of 0.1.

{table(["Setting", "New, nats", "Old, nats (forgotten)", "Moved"], rows)}

Cells that are better than the recommended one on both: {better}."""


def _real(result: Result) -> str:
    parts = []
    for name, arms in result.parts["real"].items():
        rows = [
            [
                f"**{arm}**" if arm == EWC_SAFE else arm,
                percent(row["mean"], 2),
                f"{percent(row['interval'][0], 2)} to {percent(row['interval'][1], 2)}",
                percent(row["worst_window"]),
                percent(row["moved"], 2),
            ]
            for arm, row in arms.items()
        ]
        header = ["Arm", "Mean 30 days", "95 %", "Worst 30 days", "Moved"]
        parts.append(f"### {name}\n\n{table(header, rows)}")
    return (
        "## Real markets: 20 stocks through two crises\n\n"
        + "\n\n".join(parts)
        + "\n\nThe promise is about the mean of the default; the worst window is reported."
    )


def _planted(result: Result) -> str:
    rows = [
        [
            f"**{arm}**" if arm == EWC_RECOMMENDED else arm,
            _pair(row, "new"),
            _pair(row, "old"),
            percent(row["moved"]),
        ]
        for arm, row in result.parts["planted"].items()
    ]
    parts = result.parts
    better = ", ".join(parts["dominated_by"]) or "none"
    forgotten = percent(parts["forgotten_fraction_of_naive"])
    return f"""\
## Planted drift

{table(["Arm", "New, nats", "Old, nats (forgotten)", "Moved"], rows)}

The recommended setting takes {percent(parts["recovered_fraction_of_best"], 0)} of what the best
arm ({parts["best_arm_on_drift"]}) gains, and forgets {forgotten}
of what naive fine-tuning forgets. L2 arms that are better on both: {better}. {_beside_l2(parts)}"""


def _beside_l2(parts: dict[str, Any]) -> str:
    """Say what L2 of a strength between the measured ones would do."""
    rows = parts["planted"]
    ours = rows[EWC_RECOMMENDED]
    gains_more = [arm for arm in L2_ARMS if rows[arm]["new"] < ours["new"]]
    gains_less = [arm for arm in L2_ARMS if arm not in gains_more]
    if not (gains_more and gains_less):
        return ""
    # The arms stand in the order of their strengths.
    weak, strong = gains_more[-1], gains_less[0]
    share = (ours["new"] - rows[weak]["new"]) / (rows[strong]["new"] - rows[weak]["new"])
    forgets = rows[weak]["old"] + share * (rows[strong]["old"] - rows[weak]["old"])
    found = "better on both" if forgets < ours["old"] else "no better on both"
    return (
        f"Strengths between {weak} and {strong} were not measured: on the straight line between "
        f"the two, L2 that gains as much as EWC forgets {forgets:+.3f} nats, EWC "
        f"{ours['old']:+.3f}, so one there would be {found}. On this world, whose features are "
        "all alike, EWC is not shown to be worth more than L2 of a well-chosen strength."
    )


def _pair(row: dict[str, Any], name: str) -> str:
    return f"{row[name]:+.3f} ± {row[f'{name}_error']:.3f}"


def _poison(result: Result) -> str:
    rows = [
        [
            case,
            percent(row["mean_harm"]),
            f"{row['harmful']}",
            f"{row['refused']}",
            f"{row['rolled_back']}",
        ]
        for case, row in result.parts["cases"].items()
    ]
    parts = result.parts
    return f"""\
## A poisoned day

{table(["Update", "Loss in truth", "Harmful", "Refused", "Would be rolled back"], rows)}

One day of the window has its labels turned round and its inputs at the clip, and comes as often as
the flood says; "without a hold" is naive fine-tuning with twenty passes, the worst that can be
configured. {parts["harmful"]} of {result.n} updates did harm in truth, {result.value:g} of them
would have served. {parts["lost_more_of_the_gain_than_is_borne"]} lost in truth more than
{percent(paired.TOLERANCE_FRACTION, 0)} of what the champion gains over ln 2, which is what the gate
looks for; {parts["lost_more_and_would_serve"]} of them would have served. Of
{parts["clean_updates"]} clean updates {parts["clean_updates_refused"]} were refused."""


def _rebuilt(result: Result) -> str:
    rows = [[name, f"`{digest}`"] for name, digest in result.parts["digests"].items()]
    return f"""\
## Made again from its lineage

{table(["Model set", "Digest, its first 16 digits"], rows)}

Each was made once more from its lineage and bars, in a folder without anything that had been kept;
{result.value:g} of {result.n} digests differed."""


def _fisher(result: Result) -> str:
    parts = result.parts
    return f"""\
## The Fisher information

Largest relative error over {result.n} drawn models: Gaussian {parts["gaussian"]:.1e}, logistic
{parts["logistic"]:.1e}; the product's networks against one backward pass a row
{parts["network_row_by_row"]:.1e}. Labels drawn from the networks, {parts["n_draws_a_row"]:,} a row,
give the same within {parts["network_worst_z_of_drawn_labels"]} standard errors at the worst
weight."""


if __name__ == "__main__":
    main(sys.argv[1:])
