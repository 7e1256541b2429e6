"""How good predictions were: ranks, calibration, hits beside the trivial guess.

Rows with a NaN in the prediction or in the outcome are left out everywhere.
"""

import numpy as np

from models.arrays import Floats, Mask

N_BINS = 10
"""Bins of equal count: daily probabilities crowd around one half, equal widths would fill two."""

MIN_RANKED = 3
"""A rank correlation of two symbols is plus or minus one by construction."""


def ranks(values: Floats) -> Floats:
    """Average ranks within each row, from one; (n, k) to (n, k), NaN where the value is NaN.

    Examples
    --------
    >>> ranks(np.array([[10.0, 30.0, 10.0, np.nan]])).tolist()
    [[1.5, 3.0, 1.5, nan]]
    """
    below = np.stack([(row[None, :] < row[:, None]).sum(axis=1) for row in values])
    equal = np.stack([(row[None, :] == row[:, None]).sum(axis=1) for row in values])
    return np.where(np.isfinite(values), below + 0.5 * (equal + 1), np.nan)


def rank_correlations(predictions: Floats, returns: Floats) -> Floats:
    """Spearman correlation across symbols, one for each bar (Spearman 1904).

    Parameters
    ----------
    predictions, returns : (n_bars, n_symbols)

    Returns
    -------
    (n_bars,)
        NaN for bars with fewer than three known symbols or with all values equal.

    Examples
    --------
    >>> rank_correlations(np.array([[0.1, 0.2, 0.4]]), np.array([[-1.0, 0.0, 2.0]])).tolist()
    [1.0]
    """
    known = np.isfinite(predictions) & np.isfinite(returns)
    first = ranks(np.where(known, predictions, np.nan))
    second = ranks(np.where(known, returns, np.nan))
    n_known = known.sum(axis=1)
    middle = 0.5 * (n_known + 1)[:, None]
    first = np.where(known, first - middle, 0.0)
    second = np.where(known, second - middle, 0.0)
    scale = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    enough = (n_known >= MIN_RANKED) & (scale > 0.0)
    covariance = (first * second).sum(axis=1)
    return np.where(enough, covariance / np.where(enough, scale, 1.0), np.nan)


def expected_calibration_error(probabilities: Floats, happened: Floats) -> float:
    """Mean distance of predicted from observed frequency, over bins of equal count.

    Naeini, Cooper and Hauskrecht 2015, with bins by rank.

    Parameters
    ----------
    probabilities, happened : (n,)
        Any NaN row is left out; outcomes in [0, 1].

    Returns
    -------
    float
        In [0, 1]; NaN without rows.

    Examples
    --------
    >>> expected_calibration_error(np.array([0.75] * 4), np.array([1.0, 1.0, 1.0, 0.0]))
    0.0
    """
    known = _known(probabilities, happened)
    if not known.any():
        return float("nan")
    order = np.argsort(probabilities[known], kind="stable")
    gaps = (probabilities[known] - happened[known])[order]
    # Equal predictions belong together, whatever the bins' edges.
    _, group = np.unique(probabilities[known][order], return_inverse=True)
    first_of_group = np.searchsorted(group, group)
    bins = first_of_group * N_BINS // len(gaps)
    return float(np.abs(np.bincount(bins, weights=gaps)).sum() / len(gaps))


def log_loss(probabilities: Floats, happened: Floats) -> float:
    """Mean negative log likelihood in nats; ln 2 = 0.693 knows nothing.

    Parameters
    ----------
    probabilities, happened : (n,)
        Any NaN row is left out; outcomes in [0, 1].

    Returns
    -------
    float
        NaN without rows, infinity if something held impossible happened.

    Examples
    --------
    >>> round(log_loss(np.array([0.5, 0.5]), np.array([1.0, 0.0])), 4)
    0.6931
    """
    known = _known(probabilities, happened)
    if not known.any():
        return float("nan")
    up, outcome = probabilities[known], happened[known]
    with np.errstate(divide="ignore"):
        on_up = np.where(outcome > 0.0, outcome * np.log(up), 0.0)
        on_down = np.where(outcome < 1.0, (1.0 - outcome) * np.log1p(-up), 0.0)
    return float(-(on_up + on_down).mean())


def hit_rate(probabilities: Floats, returns: Floats) -> float:
    """Share of moves whose direction was called right; unchanged bars are left out.

    Parameters
    ----------
    probabilities, returns : (n,)
        A probability of exactly one half counts as a call for up.

    Returns
    -------
    float
        In [0, 1]; NaN without moves. All ones as probabilities give the hit rate of always-up.

    Examples
    --------
    >>> hit_rate(np.array([0.6, 0.4, 0.6, 0.9]), np.array([0.01, -0.02, -0.01, 0.0]))
    0.6666666666666666
    """
    known = _known(probabilities, returns) & (returns != 0.0)
    if not known.any():
        return float("nan")
    return float(((probabilities[known] >= 0.5) == (returns[known] > 0.0)).mean())  # noqa: PLR2004  an even chance


def measure(probabilities: Floats, returns: Floats) -> dict[str, float]:
    """Measure predictions of one stretch of bars.

    Parameters
    ----------
    probabilities, returns : (n_bars, n_symbols)
        Probability that the next bar closes up, and the return to it.

    Returns
    -------
    dict
        ``rank_ic`` (mean over bars) and its ``rank_ic_standard_error`` (bars taken as
        independent), ``expected_calibration_error``, ``hit_rate`` beside ``hit_rate_always_up``,
        ``log_loss_nats`` beside ``log_loss_base_rate_nats`` (the stretch's own share of ups, known
        in hindsight only), ``n_bars`` with a prediction, ``n_rows``. NaN where undefined.
    """
    known = np.isfinite(probabilities) & np.isfinite(returns)
    up, moves = probabilities[known], returns[known]
    happened = 0.5 + 0.5 * np.sign(moves)
    base_rate = happened.mean() if len(happened) else np.nan
    by_bar = rank_correlations(probabilities, returns)
    by_bar = by_bar[np.isfinite(by_bar)]
    enough = len(by_bar) > 1
    return {
        "rank_ic": float(by_bar.mean()) if enough else float("nan"),
        "rank_ic_standard_error": (
            float(by_bar.std(ddof=1) / np.sqrt(len(by_bar))) if enough else float("nan")
        ),
        "expected_calibration_error": expected_calibration_error(up, happened),
        "hit_rate": hit_rate(up, moves),
        "hit_rate_always_up": hit_rate(np.ones(len(moves)), moves),
        "log_loss_nats": log_loss(up, happened),
        "log_loss_base_rate_nats": log_loss(np.full(len(moves), base_rate), happened),
        "n_bars": int(known.any(axis=1).sum()),
        "n_rows": len(moves),
    }


def _known(first: Floats, second: Floats) -> Mask:
    known: Mask = np.isfinite(first) & np.isfinite(second)
    return known
