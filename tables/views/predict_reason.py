"""Why a wish was answered as it was: the model taken apart on the bars that are at hand."""

import numpy as np

from models.features.catalogue import NAMES
from models.model_set import ModelSet
from models.specialists.window import ATTENDED, LENGTH_BARS
from streams.explanation import Explanation
from streams.records import Decision
from streams.timestamps import parse_ns
from tables.explanations import PastBars, explanation
from tables.recent import SeenRow

_COLUMNS = [NAMES.index(name) for name in ATTENDED]


def explained(decision: Decision, models: ModelSet, rows: list[SeenRow]) -> Explanation:
    """Explain the decision about a wish.

    Parameters
    ----------
    decision, models
        What was decided, and by whom it was wished.
    rows
        The symbol's bars up to that of the wish, the oldest first. Behind a restart there are fewer
        than a specialist attends to; ``confidence_difference`` then says how far off that is.
    """
    bars = np.full((LENGTH_BARS, len(_COLUMNS)), np.nan)
    for at, row in enumerate(rows[-LENGTH_BARS:], start=LENGTH_BARS - min(len(rows), LENGTH_BARS)):
        bars[at] = row.features[_COLUMNS]
    # The decision has the account's time, the bars that of the last of them.
    past = PastBars(parse_ns(decision.timestamp), bars)
    return explanation(decision, "demand", models, past)
