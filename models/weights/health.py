"""How the controller fares over a step, for those who watch it: repairs, fallbacks, usage."""

from typing import NamedTuple

import numpy as np

from models import simplex
from models.weights import options
from models.weights.controller import ControllerState


class Health(NamedTuple):
    """What a step did, and how the options are used since.

    Attributes
    ----------
    repairs, fallbacks : int
        Rows of this step that were repaired, or on which Hedge stood in.
    usage : tuple of float
        Share of the discounted bars of all symbols by option, in regime order; sums to one.
    entropy_bits : float
        Of the usage: 0 is one option alone, log2 3 all alike.
    collapsed : bool
        Whether one option has more than ``options.COLLAPSE_FRACTION`` of the usage.
    collapsed_symbols : int
        Symbols of which the same is true one by one.
    """

    repairs: int
    fallbacks: int
    usage: tuple[float, ...]
    entropy_bits: float
    collapsed: bool
    collapsed_symbols: int


def health(before: ControllerState, after: ControllerState) -> Health:
    """Compare the states around a step; neither is changed."""
    used = after.occupied_bars
    # The first row is all symbols together.
    usage = options.usage(np.concatenate([used.sum(axis=0)[None], used]))
    alone = usage.max(axis=1) > options.COLLAPSE_FRACTION
    return Health(
        repairs=int(after.repairs.sum() - before.repairs.sum()),
        fallbacks=int(after.fallbacks.sum() - before.fallbacks.sum()),
        usage=tuple(usage[0].tolist()),
        entropy_bits=float(simplex.entropy_bits(usage[:1])[0]),
        collapsed=bool(alone[0]),
        collapsed_symbols=int(alone[1:].sum()),
    )
