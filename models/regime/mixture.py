"""Fit the regime mixture: a Dirichlet-process Gaussian mixture whose components get names.

The number of effective components is left to the data: a truncated stick-breaking prior (Blei and
Jordan 2006) empties those that it does not need.
"""

import math
import warnings

import numpy as np
from scipy.special import digamma
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no stubs

from models import simplex
from models.arrays import Floats, Indices
from models.errors import HistoryTooShort, NotFitted
from models.regime.mixture_settings import DEFAULTS, FEATURES, SIDEWAYS_SHARE, Settings
from models.regime.posterior import REGIMES, RegimeModel, responsibilities

ROWS_PER_COMPONENT = 25
"""Fewer rows than this for each component cannot place a Gaussian in four dimensions."""


class _WarmMixture(BayesianGaussianMixture):  # type: ignore[misc]  # scikit-learn has no types
    """A mixture that starts from given responsibilities instead of k-means.

    scikit-learn can go on from its own last fit only, which a served model no longer has.
    """

    responsibilities: Floats

    def _initialize_parameters(self, X: Floats, *_: object, **__: object) -> None:  # noqa: N803  scikit-learn's name
        self._initialize(X, self.responsibilities)


def fit(
    features: Floats,
    *,
    columns: Indices,
    seed: int,
    settings: Settings = DEFAULTS,
    previous: RegimeModel | None = None,
) -> RegimeModel:
    """Fit the mixture on the training stretch, pooled over symbols.

    Parameters
    ----------
    features : (n_bars, n_symbols, F)
        All pipeline features; rows with a NaN among the used columns are left out.
    columns : (4,)
        int64 positions of ``FEATURES``.
    seed : int
        Seed of the k-means starts; the same seed and data give the same bytes on one machine.
    settings : Settings
    previous : RegimeModel, optional
        Start from its responsibilities and keep its scaler: one start, nothing random, and
        components that stay near where they were. Its names are not taken over; see
        ``models.regime.alignment``.

    Returns
    -------
    RegimeModel
        Components in falling order of weight.

    Raises
    ------
    HistoryTooShort
        If too few rows are finite.
    NotFitted
        If the previous model has another number of components, or reads other columns.
    """
    observations = _observations(features[..., columns], settings)
    if previous is None:
        mean, scale = observations.mean(axis=0), observations.std(axis=0)
        scale = np.where(scale > 0.0, scale, 1.0)
    else:
        mean, scale = previous.scaler_mean, previous.scaler_scale
    if previous is not None:
        _check_succeeds(previous, columns, settings)
    mixture = _unfitted(settings, seed, previous, observations)
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # The bound on iterations is ours: the last step of a slow start is still a valid mixture.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit((observations - mean) / scale)
    return _export(mixture, mean, scale, columns, settings)


def _unfitted(
    settings: Settings, seed: int, previous: RegimeModel | None, observations: Floats
) -> BayesianGaussianMixture:
    kind = BayesianGaussianMixture if previous is None else _WarmMixture
    mixture = kind(
        n_components=settings.components,
        covariance_type="full",
        weight_concentration_prior_type="dirichlet_process",
        n_init=settings.restarts if previous is None else 1,
        max_iter=settings.max_iterations if previous is None else settings.warm_iterations,
        random_state=seed,
    )
    if previous is not None:
        mixture.responsibilities = responsibilities(previous, observations)
    return mixture


def _check_succeeds(previous: RegimeModel, columns: Indices, settings: Settings) -> None:
    if len(previous.weights) != settings.components:
        raise NotFitted(
            f"a warm start needs {settings.components} components, the previous model has "
            f"{len(previous.weights)}"
        )
    if not np.array_equal(previous.feature_columns, columns):
        raise NotFitted(
            f"a warm start needs a model of the columns {np.asarray(columns).tolist()}, the "
            f"previous one reads {previous.feature_columns.tolist()}"
        )


def component_names(means: Floats, weights: Floats) -> Indices:
    """Name each component by its drift in units of its volatility.

    With r21 and r63 the component's mean returns over 21 and 63 bars and v its mean volatility, the
    drift score is (r21 / sqrt 21 + r63 / sqrt 63) / v, a sum of two t statistics. A component is
    sideways if its score lies within ``SIDEWAYS_SHARE`` weighted standard deviations of the
    weighted mean, bull above and bear below. A name left over takes the component that fits it
    best: bull the highest score, bear the lowest, sideways the one in between that is nearest to
    the mean. Names are thus relative to the training history: around zero, two thirds of thirty
    years of stocks would be called bull. The unit of the volatility cancels.

    Parameters
    ----------
    means : (K, d)
        Unscaled component means; columns as in ``FEATURES``; K of at least three.
    weights : (K,)

    Returns
    -------
    (K,)
        int64 positions in ``REGIMES``, each present.

    Examples
    --------
    >>> returns_21, volatilities, returns_63 = [0.05, 0.0, -0.1], [0.01] * 3, [0.1, 0.0, -0.2]
    >>> means = np.column_stack([returns_21, volatilities, returns_63, [0.0, -0.03, -0.3]])
    >>> [REGIMES[k] for k in component_names(means, np.array([0.4, 0.4, 0.2]))]
    ['bull', 'sideways', 'bear']
    """
    bull, bear, sideways = range(len(REGIMES))
    scores = drift_scores(means)
    shares = weights / weights.sum()
    surplus = scores - (shares * scores).sum()
    threshold = SIDEWAYS_SHARE * math.sqrt(float((shares * surplus**2).sum()))
    names = np.select([surplus > threshold, surplus < -threshold], [bull, bear], sideways)
    order = np.argsort(surplus, kind="stable")
    names[order[-1]], names[order[0]] = bull, bear
    inner = order[1:-1]
    if not (names[inner] == sideways).any():
        names[inner[np.argmin(np.abs(surplus[inner]))]] = sideways
    return names.astype(np.int64)


def drift_scores(means: Floats) -> Floats:
    """Mean return in units of volatility, (r21 / sqrt 21 + r63 / sqrt 63) / v.

    Parameters
    ----------
    means : (K, d)
        Unscaled, columns as in ``FEATURES``.

    Returns
    -------
    (K,)

    Examples
    --------
    >>> means = [[0.03 * math.sqrt(21), 0.01, 0.02 * math.sqrt(63), 0.0]]
    >>> drift_scores(np.array(means)).round(12).tolist()
    [5.0]
    """
    scores: Floats = (means[:, 0] / math.sqrt(21) + means[:, 2] / math.sqrt(63)) / means[:, 1]
    return scores


def _observations(used: Floats, settings: Settings) -> Floats:
    finite = np.all(np.isfinite(used), axis=2)
    stride = max(1, math.ceil(int(finite.sum()) / settings.max_rows))
    # Counted from the end, so that the newest bar always takes part.
    kept = np.zeros(used.shape[0], np.bool_)
    kept[::-1][::stride] = True
    observations: Floats = used[finite & kept[:, None]]
    needed = ROWS_PER_COMPONENT * settings.components
    if len(observations) < needed:
        raise HistoryTooShort(
            f"the regime mixture needs {needed} rows with finite {', '.join(FEATURES)}, "
            f"was {len(observations)}"
        )
    return observations


def _export(
    mixture: BayesianGaussianMixture,
    mean: Floats,
    scale: Floats,
    columns: Indices,
    settings: Settings,
) -> RegimeModel:
    order = np.argsort(-mixture.weights_, kind="stable")
    means, weights = mixture.means_[order], mixture.weights_[order]
    names = component_names(means * scale + mean, weights)
    return RegimeModel(
        scaler_mean=mean,
        scaler_scale=scale,
        weights=weights,
        means=means,
        precisions_cholesky=np.ascontiguousarray(mixture.precisions_cholesky_[order]),
        log_constants=log_constants(mixture)[order],
        component_regime=np.eye(len(REGIMES))[names],
        feature_columns=np.asarray(columns, np.int64),
        half_life_bars=settings.half_life_bars,
    )


def log_constants(mixture: BayesianGaussianMixture) -> Floats:
    """Collect what the variational log density of each component adds to its quadratic form.

    E[log weight] of the stick-breaking prior, E[log det precision] of the Wishart posterior, and
    the spread of the mean (Bishop 2006, equations 10.64 to 10.66).

    Parameters
    ----------
    mixture : BayesianGaussianMixture
        Fitted, full covariance, Dirichlet-process prior, d features.

    Returns
    -------
    (K,)
    """
    broken, left = mixture.weight_concentration_
    both = digamma(broken + left)
    skipped = np.concatenate([[0.0], np.cumsum(digamma(left) - both)[:-1]])
    freedom, d = mixture.degrees_of_freedom_, mixture.means_.shape[1]
    diagonal = np.diagonal(mixture.precisions_cholesky_, axis1=1, axis2=2)
    log_root_determinant = simplex.row_sum(np.log(diagonal)) - 0.5 * d * np.log(freedom)
    wishart = d * math.log(2.0) + digamma(0.5 * (freedom[:, None] - np.arange(d))).sum(axis=1)
    spread = 0.5 * (wishart - d / mixture.mean_precision_)
    log_weights = digamma(broken) - both + skipped
    normaliser = 0.5 * d * math.log(2.0 * math.pi)
    constants: Floats = log_weights + log_root_determinant + spread - normaliser
    return constants
