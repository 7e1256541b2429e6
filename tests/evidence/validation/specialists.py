"""Write SPECIALISTS_VALIDATION.md: ``python -m tests.evidence.validation.specialists``.

About fifteen minutes. With ``TRADEWIND_DATA`` the other markets take part, as they do in the
measurement itself.
"""

import dataclasses
from typing import Any

from models.regime.posterior import REGIMES
from models.specialists import settings, window
from tests.evidence import specialist_forms, specialist_skill
from tests.evidence.measurement import Result
from tests.evidence.specialist_data import HOURS, STOCKS, panels
from tests.evidence.specialist_forms import BARE, EVEN, JOINED, JUDGED
from tests.evidence.specialist_skill import (
    BLOCK_BARS,
    MOST_ECE,
    N_DRAWS,
    SPECIALIST_SKILL,
    below,
)
from tests.evidence.specialist_walk import EQUAL, PEERS, RIDGE, RIDGE_PENALTIES, SPECIALISTS
from tests.evidence.validation import document
from tests.evidence.validation.document import table

COMMAND = "python -m tests.evidence.validation.specialists"
NAME = "SPECIALISTS_VALIDATION.md"

_PURPOSE = """\
Whether the specialists know anything about the next bar, how far their confidence can be taken at
its word, and what their attention is good for. A figure that misses its promise is printed as it
is."""

_DEFINITIONS = """\
## Definitions

- **Specialist**: for each regime the mean of {members} networks that differ by their random
  numbers only. A network asks the last {length} bars of the symbol a question made of the current
  bar's 60 features (one head of scaled dot-product attention with a bias for each lag); the answer
  of {context} numbers joins the features at the foot of an 8 + 60-64-32-1 network. Trained on all
  rows, each weighted by the probability of the specialist's regime.
- **Arm "specialists"**: the three, weighted by the regime probabilities of the bar. The
  meta-controller is left out, so that this document is about the specialists only.
- **Peers**: ridge regressions on the same 60 scaled features, trained on the same rows: of the
  direction, with the penalty among {penalties} that has the most skill on the validation stretch
  ("ridge", chosen as the networks are); of the direction with penalty 1; and of the rank of the
  return among the symbols, which is what a rank IC asks for, with penalty 1.
- **Rank IC**: Spearman correlation across the symbols between what was said at a bar's close and
  the return to the next close; mean over bars.
- **Intervals** are 95 %, circular block bootstrap over bars, blocks of {block} bars, {draws} draws;
  symbols share the drawn bars. p is two-sided, from the same draws about their centre. Seeds are
  averaged bar by bar before anything is drawn. "Not below ridge" means that for none of the peers
  the interval of the difference lies wholly below zero.
- **ECE**: expected calibration error of the probability that the next bar closes up, ten bins of
  equal count, after Platt scaling fitted on the validation stretch of the fold; the promise is
  about the worst fold and seed. *Before* is the same without the scaling.
- **Hit rate**: share of moves whose direction was called right, bars without a move left out.
- **Effective bars**: exponential of the entropy of the attention, mean over rows: {length} if every
  bar weighs the same, 1 if one has it all."""

_LIMITS = """\
## What this does not show

- **No directional edge over always-up.** The difference stands in the table; a hit rate near
  one half is what there is.
- No profit. A rank correlation of this size is mostly the reversal of the last days, before costs;
  what a book would earn is not measured here.
- Attention is there to be explained, not for skill: the study above compares it with none. What it
  weighs is what a network looked at, which is not why a price moved.
- The stocks are companies that survived until 2022. Ranks across them suffer less from that than
  levels of return would; how much less is not known.
- Closes only for the 20 stocks and the daily currency pairs: opens, highs and lows are set equal to
  the close there and volume to nothing, so a third of the features says little. The other markets
  have real bars.
- The other markets are short, and have five or six symbols except for the 44 stocks: a rank
  correlation over five symbols is a coarse thing. Their folds are one seed each.
- The ridge of ranks was not a model of ours, and it is printed for that reason: networks trained on
  ranks instead of directions were not tried. A score is the log odds of a direction by contract.
- Most settings of training (rates, passes, sizes) were taken over from an earlier study on the same
  stocks and the same years. The form of the attention, its learning rate and the number of networks
  were chosen on stocks before 2003, after a first look at one fold of the 44 stocks had shown an
  attention close to equal. Nothing was changed after the reported years of the 20 stocks had been
  seen but the document: after a first run on the same seeds the two ridges with a fixed penalty
  were added as peers, because one chosen by validation turned out to be the weaker one."""


def main() -> None:
    """Measure everything and write the document."""
    forms = specialist_forms.study()
    results = document.run((SPECIALIST_SKILL,))
    ((_, skill),) = results.values()
    sections = [
        "# Specialists: validation",
        _PURPOSE,
        "## Verdict\n\n" + document.verdicts(results),
        _data(skill),
        _DEFINITIONS.format(
            members=settings.DEFAULTS.members,
            length=window.LENGTH_BARS,
            context=settings.CONTEXT,
            penalties=", ".join(f"{penalty:g}" for penalty in RIDGE_PENALTIES),
            block=BLOCK_BARS,
            draws=f"{N_DRAWS:,}",
        ),
        _arms(skill.parts[STOCKS]),
        _folds(skill.parts[STOCKS]),
        _elsewhere(skill),
        _forms(forms),
        _attention(skill.parts[STOCKS]),
        _settings(),
        _LIMITS,
    ]
    path = document.write(NAME, COMMAND, sections)
    print(path.relative_to(document.FOLDER.parents[1]))  # noqa: T201  a command speaks


def number(row: dict[str, Any]) -> str:
    """Write a statistic with its interval.

    Examples
    --------
    >>> number({"value": 0.021, "interval": (0.013, 0.029), "p": 0.001})
    '+0.0210 [+0.0130, +0.0290]'
    """
    low, high = row["interval"]
    return f"{row['value']:+.4f} [{low:+.4f}, {high:+.4f}]"


def _data(result: Result) -> str:
    rows = [
        [
            name,
            f"{len(panel.symbols)}",
            f"{len(panel.times):,}",
            f"{result.parts[name]['n_bars']:,}",
            f"{result.parts[name]['n_rows']:,}",
            f"{len(result.parts[name]['seeds'])}",
        ]
        for name, panel in panels().items()
    ]
    described = table(["Market", "Symbols", "Bars", "Out of sample", "Moves judged", "Seeds"], rows)
    return f"""\
## Data and splits

{described}

The stocks are loaded at run time from the package skfolio (1990 to 2022); the others take part
where `TRADEWIND_DATA` points to them, the hourly pairs with their latest {HOURS:,} hours. Features
come from the one pipeline that serves live.

Four expanding folds: five years each from 2003 on for the stocks, quarters of the second half for
the others. Before each fold the bars are cut as the product cuts them, in time order: 82 % to learn
from, 18 % to stop and calibrate by, and 22 bars given up at each seam (the label's horizon of one
bar and an embargo of 21). A window of {window.LENGTH_BARS} bars looks back over a seam, as it will
when serving; it ends inside the gap and reaches no label that was trained on. The regime mixture is
fitted on the same training stretch. Seeds {", ".join(map(str, specialist_skill.SEEDS))} were not
used before this report."""


def _arms(stocks: dict[str, Any]) -> str:
    names = {
        SPECIALISTS: "**specialists**, by regime probability",
        EQUAL: "specialists, a third each",
        **{peer: peer for peer in PEERS},
        **{regime: f"{regime} specialist alone" for regime in REGIMES},
    }
    rows = [
        [
            names[arm],
            number(row["rank_ic"]),
            f"{row['rank_ic']['p']:.4f}",
            "-" if arm == SPECIALISTS else number(row["lead"]),
        ]
        for arm, row in stocks["arms"].items()
    ]
    hits, lead = stocks["hit_rate"], stocks["hits_less_always_up"]
    seeds = ", ".join(f"{value:.4f}" for value in stocks["seeds"])
    return f"""\
## The arms, {STOCKS}

{table(["Arm", "Rank IC", "p", "Specialists less this"], rows)}

By seed: {seeds}. Hit rate {100 * hits:.2f} %; less that of always-up:
{number(lead)} (p {lead["p"]:.3f}). Every row of the table was printed, whatever it said."""


def _folds(stocks: dict[str, Any]) -> str:
    rows = [
        [
            f"{row['from']} to {row['to']}",
            number(row["rank_ic"]),
            number(row["ridge_rank_ic"]),
            f"{row['ece']:.4f} ({row['worst_ece']:.4f})",
            f"{row['ece_uncalibrated']:.4f}",
            f"{row['said'][0]:.3f} to {row['said'][1]:.3f}",
            f"{100 * row['hit_rate']:.2f} % ({100 * row['always_up']:.2f} %)",
            f"{row['n_training']:,}",
            f"{row['fit_s']:.0f}",
        ]
        for row in stocks["folds"]
    ]
    header = [
        "Fold",
        "Rank IC",
        "Ridge's",
        "ECE, mean (worst seed)",
        "Before",
        "Said, 1st to 99th percentile",
        "Hit rate (always-up)",
        "Rows learnt from",
        "Training, s",
    ]
    silent = [row["from"][:4] for row in stocks["folds"] if row["rank_ic"]["interval"][0] <= 0.0]
    said = (
        f"In the fold{'s' if len(silent) > 1 else ''} from {', '.join(silent)} the interval of the "
        "rank IC contains zero."
        if silent
        else "No fold's interval contains zero."
    )
    return f"""\
## Fold by fold: skill and calibration

{table(header, rows)}

{said} A small ECE is earned by modesty: what is said hardly leaves one half, and a forecast that
always says one and the same number can have a small one, too. The promise is at most {MOST_ECE:g}.
Training is that of all three specialists, time on the processor, the first seed."""


def _elsewhere(result: Result) -> str:
    rows = []
    for name, row in result.parts.items():
        if name == STOCKS:
            continue
        served, ridge = row["arms"][SPECIALISTS], row["arms"][RIDGE]["rank_ic"]
        rows.append(
            [
                name,
                number(served["rank_ic"]),
                f"{served['rank_ic']['p']:.3f}",
                number(ridge),
                number(row["arms"][RIDGE]["lead"]),
                f"{row['worst_ece']:.3f} ({row['ece_by_chance']:.3f})",
                f"{100 * row['hit_rate']:.2f} %",
                number(row["hits_less_always_up"]),
            ]
        )
    if not rows:
        return "## Other markets\n\n`TRADEWIND_DATA` was not set: none took part."
    header = [
        "Market",
        "Rank IC",
        "p",
        "Ridge's",
        "Specialists less ridge's",
        "Worst ECE (by chance)",
        "Hit rate",
        "Less always-up's",
    ]
    return f"## Other markets\n\n{table(header, rows)}\n\n{_where(result)}"


def _where(result: Result) -> str:
    held, missed = [], []
    for name, row in result.parts.items():
        served = row["arms"][SPECIALISTS]
        faults = []
        if served["rank_ic"]["value"] < specialist_skill.LEAST_IC:
            faults.append("rank IC")
        if served["rank_ic"]["p"] >= specialist_skill.LEVEL:
            faults.append("p")
        faults += [f"below {peer}" for peer in below(row)]
        if row["worst_ece"] > MOST_ECE:
            faults.append("ECE")
        if name != STOCKS:
            (missed if faults else held).append(f"{name} ({', '.join(faults)})" if faults else name)
    return (
        "The promise is about the 20 stocks. Held against the same bars, it holds for "
        f"{', '.join(held) or 'none'} of the other markets, and fails for "
        f"{'; '.join(missed) or 'none'}. In brackets: on what. The ECE by chance is what a "
        "perfectly calibrated forecast would show on as many independent moves as an average fold "
        "has: a short fold cannot show a small one."
    )


def _forms(forms: dict[str, dict[str, Any]]) -> str:
    rows = [
        [
            form,
            number({"value": row["rank_ic"], "interval": row["rank_ic_interval"]}),
            f"{row['least_seed']:.4f} to {row['most_seed']:.4f}",
            number({"value": row["less_none"], "interval": row["less_none_interval"]}),
            "-" if row["effective_bars"] is None else f"{row['effective_bars']:g}",
        ]
        for form, row in forms.items()
    ]
    header = ["Form", "Rank IC", "Seeds", "Less that without attention", "Effective bars"]
    spans = " and ".join(f"{begin[:4]} to {int(end[:4]) - 1}" for begin, end in JUDGED)
    joined, even = forms[JOINED], forms[EVEN]
    worse = [form for form, row in forms.items() if row["less_none_interval"][1] < 0.0]
    better = [form for form, row in forms.items() if row["less_none_interval"][0] > 0.0]
    listed = {True: ", ".join(f'"{form}"' for form in worse), False: "none"}[bool(worse)]
    return f"""\
## Which form of attention

Chosen on years before the reported ones: trained on what lies before, judged on {spans}, one
network to a regime, seeds {", ".join(map(str, specialist_forms.SEEDS))}.

{table(header, rows)}

{"No form is" if not better else f"{len(better)} forms are"} better than "{BARE}" for certain; for
certain worse: {listed}. Attention is here to be explained, not for skill. Joined to the features it
looks at {joined["effective_bars"]} of {window.LENGTH_BARS} effective bars; at the learning rate of
the other weights it would stay at {even["effective_bars"]}, close to a moving average, which
explains nothing. That is why it has a rate of its own and why this form was taken. A window of all
60 features for each bar was tried in development and given up: it took several times as long and
was not better."""


def _attention(stocks: dict[str, Any]) -> str:
    lags = range(window.LENGTH_BARS)
    rows = [
        [name, f"{row['effective_bars']:g}", *(f"{100 * row['by_lag'][lag]:.0f}" for lag in lags)]
        for name, row in stocks["attention"].items()
    ]
    header = ["Specialist", "Effective bars", *(f"{lag}" if lag else "now" for lag in lags)]
    return f"""\
## Where the attention goes

Mean over rows, folds and seeds, in percent, by bars ago; the attention of a specialist is the mean
of its networks'.

{table(header, rows)}"""


def _settings() -> str:
    told = {
        **dataclasses.asdict(settings.DEFAULTS),
        "window_bars": window.LENGTH_BARS,
        "attended": ", ".join(window.ATTENDED),
        "context": settings.CONTEXT,
        "hidden": settings.HIDDEN,
    }
    return f"## Settings\n\n- {document.settings_line(told)}"


if __name__ == "__main__":
    main()
