"""Networks that were never fitted, and rows with a rule, for tests of updates."""

from typing import NamedTuple

import numpy as np
import torch

from models.learning.update import Base, information
from models.regime.posterior import REGIMES
from models.specialists.fitting import Lessons, Past, Samples, Scaled, reproducible
from models.specialists.network import Network, exported

N_BARS, N_SYMBOLS, N_FEATURES = 40, 6, 60


class World(NamedTuple):
    """Random networks, their base, and rows whose direction one feature tells."""

    base: Base
    past: Past
    samples: Samples


def world(members: int = 1, seed: int = 73) -> World:
    """Draw networks and rows."""
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(N_BARS, N_SYMBOLS, N_FEATURES))
    probabilities = draw.dirichlet(np.ones(len(REGIMES)), (N_BARS, N_SYMBOLS))
    lessons = Lessons(
        features,
        0.01 * np.sign(features[..., 3]),
        probabilities,
        np.ones((N_BARS, N_SYMBOLS), bool),
    )
    with reproducible(seed):
        networks = [Network(N_FEATURES) for _ in range(members * len(REGIMES))]
    made = exported(networks, np.zeros(N_FEATURES), np.ones(N_FEATURES), 5.0)
    scaled = Scaled.of(lessons, made.mean, made.scale, made.clip)
    old = scaled.samples(slice(0, 20))
    return World(
        Base(made, information(made, scaled.past, old)), scaled.past, scaled.samples(slice(20, 40))
    )


def rows_of(made: World) -> tuple[Past, Samples]:
    """Give what an update learns from."""
    return made.past, made.samples


def no_rows(made: World) -> tuple[Past, Samples]:
    """Give a window without rows."""
    return made.past, Samples(*(torch.empty_like(part[:0]) for part in made.samples))
