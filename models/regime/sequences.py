"""What the arms with a memory share: unbroken stretches to fit on, and what a gap is."""

from typing import NamedTuple

import numpy as np

from models.arrays import Floats, Indices, Mask
from models.errors import HistoryTooShort


class Sequences(NamedTuple):
    """Observations of many symbols, one symbol after the other.

    Attributes
    ----------
    scaled : (n, d)
        Standardised by ``mean`` and ``scale``.
    lengths : tuple of int
        Rows of each symbol; they sum to n.
    mean, scale : (d,)
    """

    scaled: Floats
    lengths: tuple[int, ...]
    mean: Floats
    scale: Floats


def latest(features: Floats, columns: Indices, *, max_rows: int, min_rows: int) -> Sequences:
    """Take each symbol's last usable bars, in time order and without thinning.

    A model of transitions must see neighbouring bars; a bound on rows therefore shortens the
    history instead of thinning it.

    Parameters
    ----------
    features : (n_bars, n_symbols, F)
        Rows with a NaN among the columns are left out.
    columns : (d,)
        int64.
    max_rows, min_rows : int
        Over all symbols; every symbol gets the same share of the most.

    Raises
    ------
    HistoryTooShort
        If fewer than ``min_rows`` rows are usable.

    Examples
    --------
    >>> bars = np.arange(8.0).reshape(4, 2, 1)
    >>> taken = latest(bars, np.array([0]), max_rows=4, min_rows=1)
    >>> (taken.scaled * taken.scale + taken.mean).ravel().tolist(), taken.lengths
    ([4.0, 6.0, 5.0, 7.0], (2, 2))
    """
    used = features[..., columns]
    share = max(1, max_rows // used.shape[1])
    parts = []
    for symbol in range(used.shape[1]):
        rows = used[:, symbol]
        kept = rows[np.all(np.isfinite(rows), axis=1)][-share:]
        if len(kept):
            parts.append(kept)
    n_rows = sum(len(part) for part in parts)
    if n_rows < min_rows:
        raise HistoryTooShort(f"the regime arm needs {min_rows} usable rows, was {n_rows}")
    observations = np.concatenate(parts)
    mean, scale = observations.mean(axis=0), observations.std(axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    lengths = tuple(len(part) for part in parts)
    return Sequences((observations - mean) / scale, lengths, mean, scale)


def usable_rows(features: Floats, columns: Indices, mean: Floats) -> tuple[Floats, Mask]:
    """Give the columns with their gaps filled by the mean, and where nothing had to be filled.

    Parameters
    ----------
    features : (..., F)
    columns : (d,)
    mean : (d,)

    Returns
    -------
    (..., d) and (...)

    Examples
    --------
    >>> filled, usable = usable_rows(np.array([[np.nan, 3.0]]), np.array([0]), np.array([7.0]))
    >>> filled.tolist(), usable.tolist()
    ([[7.0]], [False])
    """
    used = features[..., columns]
    usable: Mask = np.all(np.isfinite(used), axis=-1)
    return np.where(usable[..., None], used, mean), usable
