"""Refit the regimes of an earlier model set: warm, with its names carried on, or not at all.

Decisions, rows and risk read "bull" as one thing over the years, so a refit may move a regime but
not rename it. What cannot be aligned is refused: the earlier model goes on.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from models.arrays import Floats, Indices
from models.errors import LabelsUnaligned, NotFitted
from models.regime.alignment import align
from models.regime.mixture import ROWS_PER_COMPONENT
from models.regime.posterior import RegimeModel

COLD, CARRIED, REFUSED = "cold", "carried", "refused"
"""How the regimes of a set came about; see ``Succession.outcome``."""


class Predecessor(NamedTuple):
    """A regime model, the digest of its set, and the bars that the model was fitted on."""

    digest: str
    model: RegimeModel
    symbols: tuple[str, ...]
    first_close_ns: int
    last_close_ns: int

    @classmethod
    def of(cls, digest: str, model: RegimeModel, record: Mapping[str, Any]) -> "Predecessor":
        """Take a set's regimes; ``record`` is its own ``Succession.record``."""
        first, last = record["first_close_ns"], record["last_close_ns"]
        return cls(digest, model, tuple(record["symbols"]), first, last)


class Bars(NamedTuple):
    """The bars to fit on.

    Attributes
    ----------
    symbols : tuple of str
        In the order of the second axis.
    close_ns : (n_bars,)
    features : (n_bars, n_symbols, F)
    """

    symbols: tuple[str, ...]
    close_ns: Indices
    features: Floats


class Succession(NamedTuple):
    """The regime model that serves, and how it came about.

    Attributes
    ----------
    model : RegimeModel
    outcome : str
        ``cold``: fitted from scratch and named by the rule; ``carried``: fitted from the earlier
        model on, with its names; ``refused``: the earlier model itself.
    why : str
        For people.
    agreement_fraction : float or None
        Share of the shared rows that both models call by the same name, where that was asked.
    n_shared_rows : int
        Rows of bars that both were fitted on.
    symbols, first_close_ns, last_close_ns
        The bars that ``model`` was fitted on, for whoever succeeds it.
    """

    model: RegimeModel
    outcome: str
    why: str
    agreement_fraction: float | None
    n_shared_rows: int
    symbols: tuple[str, ...]
    first_close_ns: int
    last_close_ns: int

    def record(self) -> dict[str, Any]:
        """Return all but the model, as JSON values."""
        told = self._asdict()
        del told["model"]
        return told | {"symbols": list(self.symbols)}


def succeed(
    previous: Predecessor | None, bars: Bars, refit: Callable[[RegimeModel | None], RegimeModel]
) -> Succession:
    """Fit the regimes anew, from the earlier ones on where there are any.

    Parameters
    ----------
    previous : Predecessor, optional
    bars : Bars
    refit : callable
        Fits on ``bars``, warm from the model that it is given, or from scratch.

    Returns
    -------
    Succession
        Cold without a predecessor, or where fewer rows are shared than a fit needs to place the
        components: then it is another market, whose regimes have no names yet.
    """
    by_rule = "fitted from scratch, named by the rule"
    if previous is None:
        return _new(bars, refit(None), COLD, by_rule)
    shared, whose = shared_rows(previous, bars), previous.digest[:12]
    needed = ROWS_PER_COMPONENT * len(previous.model.weights)
    if len(shared) < needed:
        why = f"{by_rule}: the fit shares {len(shared)} rows with {whose}, expected {needed}"
        return _new(bars, refit(None), COLD, why, n_shared_rows=len(shared))
    try:
        model, agreement = align(previous.model, refit(previous.model), shared)
    except (LabelsUnaligned, NotFitted) as error:
        why = f"refit refused, those of {whose} go on: {error}"
        agreed = error.agreement_fraction if isinstance(error, LabelsUnaligned) else None
        return Succession(previous.model, REFUSED, why, agreed, len(shared), *previous[2:])
    why = f"names carried from {whose}, equal on {agreement:.3f} of {len(shared)} shared rows"
    return _new(bars, model, CARRIED, why, agreement, len(shared))


def _new(
    bars: Bars,
    model: RegimeModel,
    outcome: str,
    why: str,
    agreement_fraction: float | None = None,
    n_shared_rows: int = 0,
) -> Succession:
    first, last = int(bars.close_ns[0]), int(bars.close_ns[-1])
    told = (outcome, why, agreement_fraction, n_shared_rows)
    return Succession(model, *told, bars.symbols, first, last)


def shared_rows(previous: Predecessor, bars: Bars) -> Floats:
    """Return the rows of bars that both fits saw, (n, d): the model's columns, unscaled, finite."""
    first, last = previous.first_close_ns, previous.last_close_ns
    known = (bars.close_ns >= first) & (bars.close_ns <= last)
    common = [at for at, symbol in enumerate(bars.symbols) if symbol in previous.symbols]
    columns = previous.model.feature_columns
    rows = bars.features[known][:, common][..., columns].reshape(-1, len(columns))
    finite: Floats = rows[np.all(np.isfinite(rows), axis=1)]
    return finite
