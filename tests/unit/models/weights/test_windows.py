"""Windows: the right bars in the right column, and what is unknown counts for nothing."""

import numpy as np
import pytest

from models.errors import HistoryTooShort, ShapeError
from models.weights import windows
from models.weights.windows import Track


def track(n_bars: int = 12, n_symbols: int = 2) -> Track:
    """Draw a track in which every row is known."""
    draw = np.random.default_rng(75)
    return Track(
        draw.normal(size=(n_bars, n_symbols, 8)),
        draw.uniform(size=(n_bars, n_symbols, 3)),
        draw.normal(size=(n_bars, n_symbols)),
    )


def test_cut_when_windows_are_laid_side_by_side_then_columns_are_episodes_of_symbols() -> None:
    """Column 3 is the second symbol of the second window."""
    given = track()
    known = windows.known_rows(given)
    window = windows.cut(given, known, np.array([0, 5]), 4, np.full((3, 4), 1 / 3))
    np.testing.assert_array_equal(window.seen[:, :, 3], given.seen[5:9, 1])
    np.testing.assert_array_equal(window.positions[:, :, 0], given.positions[:4, 0])
    np.testing.assert_array_equal(window.next_returns[:, 2], given.next_returns[5:9, 0])
    assert window.known.all()
    assert window.n_episodes == 2


@pytest.mark.parametrize("part", [0, 1, 2])
def test_known_rows_when_any_part_is_missing_then_leave_the_row_out(part: int) -> None:
    """A NaN in features, positions or return takes the row out, with zeros in its place."""
    given = track()
    given[part][3, 1] = np.nan
    known = windows.known_rows(given)
    assert not known[3, 1]
    assert known.sum() == known.size - 1
    window = windows.cut(given, known, np.array([0]), 12, np.full((3, 2), 1 / 3))
    assert (window.seen[3, :, 1] == 0.0).all()
    assert window.next_returns[3, 1] == 0.0


def test_parts_when_one_symbol_is_unknown_then_the_other_is_the_book() -> None:
    """Half each, but for the bar in which only one is there, and the one with none."""
    given = track(n_bars=3)
    given.next_returns[1, 0] = given.next_returns[2, 0] = given.next_returns[2, 1] = np.nan
    known = windows.known_rows(given)
    window = windows.cut(given, known, np.array([0]), 3, np.full((3, 2), 1 / 3))
    assert windows.parts(window).tolist() == [[0.5, 0.5], [0.0, 1.0], [0.0, 0.0]]


def test_book_risk_when_computed_then_is_the_root_mean_square_of_the_equal_book() -> None:
    """Over bars, of the mean over symbols of mean position times return."""
    given = track()
    books = (given.positions.mean(axis=2) * given.next_returns).mean(axis=1)
    risk = windows.book_risk(given, windows.known_rows(given))
    assert risk == pytest.approx(np.sqrt(np.mean(books**2)))


def test_drawn_when_the_track_is_short_then_gives_all_of_it() -> None:
    """Windows are never longer than the track, and first weights lie on the simplex."""
    given = track(n_bars=6)
    known = windows.known_rows(given)
    draw = np.random.default_rng(76)
    window = windows.drawn(given, known, draw, n_windows=3, length=252)
    assert window.next_returns.shape == (6, 6)
    np.testing.assert_allclose(window.first.sum(axis=0), 1.0)


def test_known_rows_when_there_is_nothing_to_learn_from_then_refuses() -> None:
    """All returns unknown, or a single bar, is no history."""
    given = track()
    given.next_returns[:] = np.nan
    with pytest.raises(HistoryTooShort, match="was 0"):
        windows.known_rows(given)
    with pytest.raises(HistoryTooShort, match="two bars"):
        windows.known_rows(track(n_bars=1))


def test_known_rows_when_shapes_disagree_then_refuses() -> None:
    """Positions of two specialists are another controller's."""
    given = track()
    with pytest.raises(ShapeError, match=r"\(12, 2, 3\), was .*\(12, 2, 2\)"):
        windows.known_rows(given._replace(positions=given.positions[..., :2]))
