"""What is told of the controller: increments of its counters, and shares of what it used."""

import math

import numpy as np
import pytest

from models.weights.controller import initial_state
from models.weights.health import health


def test_health_when_counters_grew_then_gives_what_the_step_added() -> None:
    """Two symbols repaired and one fallen back in this step, whatever came before."""
    before = initial_state(3)._replace(repairs=np.array([5, 0, 1]), fallbacks=np.array([2, 2, 2]))
    after = before._replace(repairs=np.array([6, 0, 2]), fallbacks=np.array([2, 3, 2]))
    said = health(before, after)
    assert (said.repairs, said.fallbacks) == (2, 1)


def test_health_when_options_were_used_unequally_then_gives_shares_and_their_entropy() -> None:
    """Half, a quarter, a quarter: 1.5 bits by hand."""
    state = initial_state(2)._replace(occupied_bars=np.array([[8.0, 0.0, 4.0], [0.0, 4.0, 0.0]]))
    said = health(state, state)
    assert said.usage == (0.5, 0.25, 0.25)
    assert said.entropy_bits == pytest.approx(1.5, abs=1e-12)
    assert (said.collapsed, said.collapsed_symbols) == (False, 1)


def test_health_when_one_option_does_everything_then_raises_the_alarm() -> None:
    """96 bars of 100 are more than 95 %, 94 are not."""
    alone = initial_state(1)._replace(occupied_bars=np.array([[2.0, 96.0, 2.0]]))
    shared = initial_state(1)._replace(occupied_bars=np.array([[6.0, 94.0, 0.0]]))
    assert (health(alone, alone).collapsed, health(shared, shared).collapsed) == (True, False)


def test_health_when_no_bar_came_yet_then_all_are_alike() -> None:
    """A fresh state raises no alarm."""
    said = health(initial_state(2), initial_state(2))
    assert said.entropy_bits == pytest.approx(math.log2(3), abs=1e-12)
    assert (said.collapsed, said.collapsed_symbols) == (False, 0)
