"""The tape gives each symbol its own last values in the order of time."""

import numpy as np

from models.features.windows import blank_tape, record


def test_record_when_symbols_come_irregularly_then_each_window_is_its_own_past() -> None:
    """Against plain lists, over many turns of the ring and two channels."""
    draw = np.random.default_rng(2)
    tape = blank_tape(n_symbols=4, n_channels=2, window=3)
    pasts: list[list[float]] = [[np.nan] * 3 for _ in range(4)]
    count = np.zeros(4, dtype=np.int64)
    for _ in range(40):
        rows = np.flatnonzero(draw.random(4) < 0.6)
        values = draw.random(len(rows))
        count[rows] += 1
        for row, value in zip(rows, values, strict=True):
            pasts[row].append(value)
        latest = record(tape, rows, count[rows], (values, -values))
        expected = np.array([pasts[row][-3:] for row in rows]).reshape(-1, 3).T
        np.testing.assert_array_equal(latest, np.stack((expected, -expected), axis=1))


def test_record_when_all_symbols_stand_at_one_place_then_each_window_is_its_own_past() -> None:
    """Their windows are one stretch of the tape: the same values as of a symbol on its own."""
    values = np.random.default_rng(3).random((11, 4))
    together, alone = blank_tape(4, 1, window=3), blank_tape(4, 1, window=3)
    for bar, now in enumerate(values, start=1):
        latest = record(together, np.arange(4), np.full(4, bar), (now,))
        single = [record(alone, np.array([r]), np.array([bar]), (now[[r]],)) for r in range(4)]
        np.testing.assert_array_equal(latest, np.concatenate(single, axis=2))
        if bar > 2:
            np.testing.assert_array_equal(latest[:, 0], values[bar - 3 : bar])
