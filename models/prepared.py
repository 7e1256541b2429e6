"""A history and its features: computed once, read by every fit on the same bars."""

from typing import NamedTuple

from models.arrays import Floats
from models.features import pipeline
from models.history import BarHistory, check


class Prepared(NamedTuple):
    """What fitting starts from.

    Attributes
    ----------
    history : BarHistory
    features : (n_bars, n_symbols, F)
        Of the pipeline at each bar's close; NaN where there is no bar or a feature warms up.
    """

    history: BarHistory
    features: Floats


def prepare(history: BarHistory) -> Prepared:
    """Fold a history through the pipeline.

    Raises
    ------
    ShapeError, NotFinite
        If the history contradicts itself; see ``models.history.check``.
    """
    check(history)
    return Prepared(history, pipeline.fold(pipeline.Bars(*history[2:])))
