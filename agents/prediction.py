"""``strategy-weights -> portfolio-events``: a target per row, one slice per portfolio.

A portfolio gets every slice, also one without rows of its own, because its barrier counts them.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from agents.slice_stage import SliceSpec
from agents.stage import Output
from models.model_set import ModelSet
from models.prediction.ensemble import predict
from streams.epochs import Portfolio
from streams.slices import FloatArray, Slice
from streams.topics import PORTFOLIO_EVENTS
from streams.transport import Record
from tables.epochs import LoadedEpoch


class Nothing(NamedTuple):
    """The state of a stage that remembers nothing but the last slice."""


def _initial(_n_symbols: int) -> Nothing:
    return Nothing()


def _step(
    models: ModelSet, state: Nothing, slice_: Slice
) -> tuple[Nothing, Mapping[str, FloatArray]]:
    confidence, _, target = predict(
        models.ensemble,
        slice_.matrix("features"),
        slice_.matrix("scores"),
        slice_.matrix("weights"),
    )
    return state, {"confidence": confidence, "target_fraction": target}


def _route(loaded: LoadedEpoch, result: Slice, encoded: bytes, record: Record) -> Iterable[Output]:
    for portfolio in loaded.epoch.portfolios:
        value = rows_of(result, portfolio).encode() if portfolio.universe else encoded
        yield Output(PORTFOLIO_EVENTS.name, portfolio.id.encode(), value, record.headers)


def rows_of(slice_: Slice, portfolio: Portfolio) -> Slice:
    """Return a slice with the rows that a portfolio trades."""
    if not portfolio.universe:
        return slice_
    wanted = pc.is_in(slice_.batch.column("symbol"), pa.array(portfolio.universe, pa.utf8()))
    return Slice(slice_.meta, slice_.batch.filter(wanted))


PREDICTION = SliceSpec("prediction", Nothing, _initial, _step, _route)
