"""Shapley values against shap's own explainers, the definition, and games solved by hand."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import shap
from hypothesis import given
from hypothesis import strategies as st

from models.arrays import Floats, Mask
from models.errors import ShapeError
from models.forensics.attribution import exact, permuted


def drawn(seed: int, n_players: int) -> Callable[[Mask], Floats]:
    """Draw a game whose players interact in all ways."""
    draw = np.random.default_rng(seed)
    inner, outer = draw.normal(size=(n_players, 9)), draw.normal(size=9)

    def game(there: Mask) -> Floats:
        return np.tanh(there.astype(float) @ inner + 0.3) @ outer

    return game


def defined(game: Callable[[Mask], Floats], n_players: int) -> list[float]:
    """Average the marginal contributions over all orders: the definition."""
    values = [0.0] * n_players
    for order in itertools.permutations(range(n_players)):
        there = np.zeros((1, n_players), np.bool_)
        before = float(game(there)[0])
        for player in order:
            there[0, player] = True
            now = float(game(there)[0])
            values[player] += (now - before) / math.factorial(n_players)
            before = now
    return values


@given(seed=st.integers(0, 99), n_players=st.integers(1, 5))
def test_exact_when_compared_with_the_definition_then_is_equal(seed: int, n_players: int) -> None:
    """The mean over all orders, for any number of players."""
    game = drawn(seed, n_players)
    said = exact(game, n_players)
    assert said.parts == pytest.approx(defined(game, n_players), abs=1e-12)
    assert abs(said.residual(said.total)) < 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_exact_when_compared_with_shap_then_is_equal(seed: int) -> None:
    """Shap's exact explainer on the same seven switches, with nobody there as background."""
    game = drawn(seed, 7)
    explainer = shap.explainers.Exact(
        lambda rows: game(rows > 0.5), shap.maskers.Independent(np.zeros((1, 7)))
    )
    theirs = explainer(np.ones((1, 7)))
    ours = exact(game, 7)
    assert ours.parts == pytest.approx(theirs.values[0], abs=1e-10)
    assert ours.base == pytest.approx(float(theirs.base_values[0]), abs=1e-12)


def test_permuted_when_all_orders_are_taken_then_is_exact() -> None:
    """What is an estimate with few orders is the value itself with all of them."""
    game = drawn(4, 5)
    orders = np.array(list(itertools.permutations(range(5))))
    assert permuted(game, orders).parts == pytest.approx(exact(game, 5).parts, abs=1e-12)


def test_permuted_when_compared_with_shap_then_both_are_near_the_exact_values() -> None:
    """Shap's Permutation explainer on the same game, with as many orders."""
    game = drawn(5, 9)
    truth = exact(game, 9).parts
    n_orders = 400
    explainer = shap.explainers.Permutation(
        lambda rows: game(rows > 0.5), shap.maskers.Independent(np.zeros((1, 9))), seed=3
    )
    theirs = explainer(np.ones((1, 9)), max_evals=n_orders * 20, silent=True).values[0]
    draw = np.random.default_rng(3)
    ours = permuted(game, np.stack([draw.permutation(9) for _ in range(n_orders)]))
    assert ours.parts == pytest.approx(truth, abs=0.1)
    assert theirs == pytest.approx(truth, abs=0.1)
    assert abs(ours.residual(ours.total)) < 1e-12


@given(seed=st.integers(0, 99))
def test_permuted_when_players_interact_by_pairs_then_one_order_is_exact(seed: int) -> None:
    """An order and its reverse cancel what is second order."""
    draw = np.random.default_rng(seed)
    pairs = np.triu(draw.normal(size=(6, 6)))

    def game(there: Mask) -> Floats:
        return np.einsum("ni,ij,nj->n", there.astype(float), pairs, there.astype(float))

    assert permuted(game, draw.permutation(6)[None]).parts == pytest.approx(
        exact(game, 6).parts, abs=1e-12
    )


def test_exact_when_a_player_changes_nothing_then_gets_nothing() -> None:
    """Solved by hand: two who need each other share evenly, a third adds his own."""
    said = exact(lambda t: 6.0 * (t[:, 0] & t[:, 1]) + 2.0 * t[:, 2] + 1.0, 4)
    assert said.parts == pytest.approx([3.0, 3.0, 2.0, 0.0])
    assert (said.base, said.total) == (1.0, 9.0)
    assert said.residual(9.5) == pytest.approx(-0.5)


@pytest.mark.parametrize("n_players", [0, 13])
def test_exact_when_there_are_no_or_too_many_players_then_refuses(n_players: int) -> None:
    """Two to the power of thirteen questions are an accident."""
    with pytest.raises(ShapeError, match="1 to 12 players"):
        exact(lambda there: there[:, 0].astype(float), n_players)


def test_permuted_when_an_order_is_none_then_refuses() -> None:
    """A player left out would get a part of nothing."""
    with pytest.raises(ShapeError, match="permutations of 3 players"):
        permuted(drawn(1, 3), np.array([[0, 1, 1]]))
