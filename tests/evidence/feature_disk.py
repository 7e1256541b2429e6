"""``feature-disk``: what the features cost on disk in a day of 200 symbols and 1-minute bars.

From the very bytes: the state after a year of bars as the changelog gets it, and a slice as its
topic gets it. The changelog counts without compaction, slices for as long as they are kept.
"""

import numpy as np

from agents.features import FEATURES
from agents.slice_stage import SNAPSHOT_SLICES
from models.features.bars import Bars
from models.features.catalogue import WARMUP_BARS
from models.features.longer import initial_longer
from models.features.pipeline import initial_state, step
from streams.codec import pack_state
from streams.slices import BarColumns, Slice, SliceMeta, bar_slice
from streams.timestamps import longer_than
from streams.topics import FEATURE_SLICES
from tests.builders import models
from tests.evidence.feature_speed import market
from tests.evidence.measurement import Measurement, Result

MAX_MB = 500.0

_N_SYMBOLS = 200
_N_PARTITIONS = 2
_SLICES_PER_DAY = 24 * 60
_DAY_MS = 86_400_000
_MB = 1e6


def measure() -> Result:
    """Fold a warm-up of real bars, and count the bytes of a snapshot and of a slice."""
    n_symbols = _N_SYMBOLS // _N_PARTITIONS
    history = market(n_symbols, WARMUP_BARS + 1)
    state, rows = initial_state(n_symbols), np.arange(n_symbols)
    for bar in range(WARMUP_BARS):
        state, _ = step(state, rows, Bars(*(column[bar] for column in history)))
    # Beside the run's bars those of 5 minutes and an hour, each with a state of its own.
    longer = initial_longer(n_symbols)._replace(features=state)
    snapshot_bytes = len(pack_state(state)) + len(longer_than("1min")) * len(pack_state(longer))
    _, columns = FEATURES.step(models(), state, _slice(history))
    slice_bytes = len(_slice(history).with_columns(columns).encode())
    changelog_mb = snapshot_bytes * _N_PARTITIONS * _SLICES_PER_DAY / SNAPSHOT_SLICES / _MB
    kept = FEATURE_SLICES.kept_ms_max / _DAY_MS
    slices_mb = slice_bytes * _N_PARTITIONS * _SLICES_PER_DAY * kept / _MB
    total = changelog_mb + slices_mb
    return Result(
        value=round(total, 1),
        holds=total < MAX_MB,
        n=_N_SYMBOLS,
        parts={
            "changelog_mb_per_day": round(changelog_mb, 1),
            "slices_mb_kept": round(slices_mb, 1),
            "snapshot_bytes_per_symbol": round(snapshot_bytes / n_symbols),
            "slice_bytes_per_symbol": round(slice_bytes / n_symbols),
        },
    )


def _slice(history: Bars) -> Slice:
    last = [column[-1] for column in history]
    n_rows = len(last[0])
    meta = SliceMeta(
        partition=0,
        close_ns=0,
        rank=0,
        chunk=0,
        n_chunks=1,
        n_partitions=_N_PARTITIONS,
        timeframe="1min",
        epoch=1,
        epoch_digest="0" * 64,
        first_offset=0,
        last_offset=0,
    )
    symbols = [f"S{number:05d}" for number in range(n_rows)]
    rows = np.arange(n_rows, dtype=np.int32)
    ticks = np.full(n_rows, 10)
    return bar_slice(meta, BarColumns(symbols, rows, *last, ticks, last[3]))


FEATURE_DISK = Measurement(
    "feature-disk",
    "MB a day for the state and the slices of 60 features, 200 symbols, 1-minute bars",
    f"< {MAX_MB:g}",
    1,
    measure,
)
