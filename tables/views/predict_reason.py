"""Why a wish was answered as it was: the model taken apart on the bars that are at hand."""

from models.arrays import Floats
from models.model_set import ModelSet
from streams.explanation import Explanation
from streams.records import Decision
from streams.timestamps import parse_ns
from tables.explanations import PastBars, explanation


def explained(decision: Decision, models: ModelSet, bars: Floats) -> Explanation:
    """Explain the decision about a wish.

    Parameters
    ----------
    decision, models
        What was decided, and by whom it was wished.
    bars : (16, 8)
        The symbol's bars up to that of the wish, the oldest first. Behind a restart fewer are known
        than a specialist attended to; ``confidence_difference`` then says how far off that is.
    """
    # The decision has the account's time, the bars that of the last of them.
    past = PastBars(parse_ns(decision.timestamp), bars)
    return explanation(decision, "demand", models, past)
