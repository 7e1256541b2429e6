"""The served networks, asked about many coalitions of one row's inputs at once.

The first layer and the question of the attention are linear in the inputs, so each player's part of
them is computed once and added up for every coalition; bars before the current one are the same for
all who have them. That takes half the time of the serving code for as many rows. Each explanation
compares the coalition of all with what serving says.
"""

import math
from typing import NamedTuple

import numpy as np

from models.arrays import Floats, Indices, Mask
from models.regime.posterior import REGIMES
from models.specialists.serving import Specialists, standardised
from models.specialists.window import COLUMNS


class Split(NamedTuple):
    """A row, split into its players' parts; what is not there is the mean, which scales to zero.

    Attributes
    ----------
    last : (G, 8)
        Each player's part of the current bar, as the attention sees it.
    past : (15, 8)
        The bars before, scaled; zero where not seen.
    seen : (16,)
        Which bars may be looked at.
    question : (N, G, D)
        Each player's part of what is asked.
    hidden : (N, G, 64)
        Each player's part of the first layer.
    """

    last: Floats
    past: Floats
    seen: Mask
    question: Floats
    hidden: Floats


def split(specialists: Specialists, features: Floats, window: Floats, player_of: Indices) -> Split:
    """Split a row by players.

    Parameters
    ----------
    specialists : Specialists
    features : (F,)
        Finite.
    window : (16, 8)
        Its last bars, the current one last; a bar with a NaN is not seen.
    player_of : (F,)
        Which player each feature belongs to, from 0 to G - 1.

    Returns
    -------
    Split
    """
    inputs = standardised(features, specialists.mean, specialists.scale, specialists.clip)
    bars = standardised(
        window, specialists.mean[COLUMNS], specialists.scale[COLUMNS], specialists.clip
    )
    seen = np.all(np.isfinite(window), axis=1)
    seen[-1] = True
    n_players = int(player_of.max()) + 1
    by_player = np.where(player_of == np.arange(n_players)[:, None], inputs, 0.0)
    return Split(
        last=by_player[:, COLUMNS],
        past=np.where(seen[:-1, None], bars[:-1], 0.0),
        seen=seen,
        question=np.matmul(by_player, specialists.query_weights),
        hidden=np.matmul(by_player, specialists.weights_1[:, : len(inputs)]),
    )


def scores(specialists: Specialists, row: Split, there: Mask) -> Floats:
    """Score coalitions.

    Parameters
    ----------
    specialists : Specialists
    row : Split
    there : (n, G + 1)
        Who is there; the last player are the bars before.

    Returns
    -------
    (n, 3)
        Mean log odds of each regime's networks.
    """
    players, has_past = there[:, :-1].astype(np.float64), there[:, -1].astype(np.float64)
    attended = _attended(specialists, row, players, has_past)
    context = np.matmul(attended, specialists.value_weights)
    context += specialists.value_biases[:, None, :]
    n_features = len(specialists.mean)
    hidden = np.matmul(players, row.hidden)
    hidden += np.matmul(context, specialists.weights_1[:, n_features:])
    hidden += specialists.biases_1[:, None, :]
    np.maximum(hidden, 0.0, out=hidden)
    hidden = np.matmul(hidden, specialists.weights_2) + specialists.biases_2[:, None, :]
    np.maximum(hidden, 0.0, out=hidden)
    outputs = np.matmul(hidden, specialists.weights_3[:, :, None])[..., 0]
    outputs += specialists.biases_3[:, None]
    by_regime: Floats = outputs.reshape(len(REGIMES), -1, len(there)).mean(axis=1)
    return by_regime.T


def _attended(specialists: Specialists, row: Split, players: Floats, has_past: Floats) -> Floats:
    """Average the bars by the attention of each network and coalition; (N, n, 8)."""
    question = np.matmul(players, row.question) + specialists.query_biases[:, None, :]
    asked = np.matmul(question, specialists.key_weights.transpose(0, 2, 1))
    last = players @ row.last
    likeness = np.empty((*asked.shape[:2], len(row.seen)))
    likeness[..., :-1] = np.matmul(asked, row.past.T) * has_past[:, None]
    likeness[..., -1] = np.einsum("knd,nd->kn", asked, last)
    likeness /= math.sqrt(question.shape[2])
    likeness += specialists.lag_biases[:, None, :]
    likeness[..., ~row.seen] = -np.inf
    likeness -= likeness.max(axis=2, keepdims=True)
    weight = np.exp(likeness)
    weight /= weight.sum(axis=2, keepdims=True)
    attended: Floats = np.matmul(weight[..., :-1] * has_past[:, None], row.past)
    attended += weight[..., -1:] * last
    return attended
