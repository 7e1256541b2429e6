"""Which runs of a registry may go: neither among the best, nor young, nor in use."""

import math
from collections.abc import Iterable
from typing import NamedTuple

BEST, DAYS = 10, 30

_MS_PER_DAY = 86_400_000
_SIGNS = {"max": 1.0, "min": -1.0}


class Ranking(NamedTuple):
    """By which metric an experiment's runs are ranked; ``sign`` is -1 where less is better."""

    metric: str
    sign: float

    @classmethod
    def of(cls, text: str) -> "Ranking | None":
        """Read ``max METRIC`` or ``min METRIC``; None if it is neither.

        Examples
        --------
        >>> Ranking.of("min held_back.log_loss")
        Ranking(metric='held_back.log_loss', sign=-1.0)
        """
        way, _, metric = text.strip().partition(" ")
        known = _SIGNS.get(way)
        return None if known is None or not metric.strip() else cls(metric.strip(), known)


class Run(NamedTuple):
    """What is known about a run.

    Attributes
    ----------
    run_id, experiment : str
    seen_ms : int
        Its last sign of life, in ms since 1970: begun, ended, logged, deleted by somebody, or the
        model that was made of it was champion.
    value : float or None
        Of the metric by which the experiment ranks its runs, the latest.
    is_kept : bool
        Whether a model that was made of it has an alias, or it is tagged as production.
    is_deleted : bool
        Whether somebody deleted it, which can be undone until it goes.
    """

    run_id: str
    experiment: str
    seen_ms: int
    value: float | None
    is_kept: bool
    is_deleted: bool


def may_go(
    runs: Iterable[Run],
    rankings: dict[str, Ranking],
    now_ms: int,
    *,
    best: int = BEST,
    days: int = DAYS,
) -> list[Run]:
    """Return the runs that nothing keeps, in the order in which they were last seen.

    A run stays that is in use, that was seen within the last days, or that is among the best of its
    experiment that nobody deleted. An experiment that names no metric keeps all of these: nobody
    can say which are its best.

    Parameters
    ----------
    runs : iterable of Run
    rankings : dict
        Experiment -> by what it ranks its runs.
    now_ms : int
    best : int
    days : int
    """
    known = sorted(runs, key=lambda run: (run.seen_ms, run.run_id))
    rivals: dict[str, list[Run]] = {}
    for run in known:
        if run.experiment in rankings and not run.is_deleted and _is_ranked(run):
            rivals.setdefault(run.experiment, []).append(run)
    among_best = {
        run.run_id
        for experiment, of in rivals.items()
        for run in sorted(of, key=lambda run: _place(run, rankings[experiment].sign))[:best]
    }
    last_ms = now_ms - days * _MS_PER_DAY
    return [
        run
        for run in known
        if run.seen_ms < last_ms
        and not run.is_kept
        and run.run_id not in among_best
        and (run.is_deleted or run.experiment in rankings)
    ]


def _is_ranked(run: Run) -> bool:
    return run.value is not None and not math.isnan(run.value)


def _place(run: Run, sign: float) -> tuple[float, int, str]:
    """Order the best first; of equals the newest."""
    return (-sign * (run.value or 0.0), -run.seen_ms, run.run_id)
