"""Hard routing: all weight on the specialist of the likeliest regime, for comparison."""

import numpy as np

from models import simplex
from models.arrays import Floats


def route(regime: Floats) -> Floats:
    """Give each row's whole weight to its likeliest regime.

    Parameters
    ----------
    regime : (n, 3) or (n, 4)
        Probabilities; a fourth column (entropy) is ignored.

    Returns
    -------
    (n, 3)
        One-hot; the first regime wins a tie; uniform where a probability is NaN.

    Examples
    --------
    >>> route(np.array([[0.2, 0.7, 0.1, 1.16]])).tolist()
    [[0.0, 1.0, 0.0]]
    """
    probabilities = regime[:, :3]
    known = np.all(np.isfinite(probabilities), axis=1)
    winner = np.argmax(np.where(known[:, None], probabilities, 0.0), axis=1)
    return np.where(known[:, None], np.eye(3)[winner], simplex.uniform(len(regime), 3))
