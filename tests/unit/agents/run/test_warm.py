"""A history that precedes a live run: the market of its models, and past."""

import pytest

from agents.run import warm
from agents.run.warm import HISTORY_BARS, check_history
from streams.errors import TapeError
from streams.sources.replay import Stretch
from streams.sources.synthetic import SyntheticTape
from tests.builders import epoch

TAPE = SyntheticTape(symbols=2, bars=300, ticks_per_bar=1, seed=3, timeframe="1s")


def test_check_history_when_it_is_longer_than_needed_then_gives_its_last_bars() -> None:
    """One bar less than warms up: the first live bar is the first that is decided."""
    closes = TAPE.closes_ns()
    found = check_history(TAPE, epoch(TAPE.symbols, timeframe="1s"))
    assert found == Stretch(closes[len(closes) - HISTORY_BARS], closes[-1])


def test_check_history_when_symbols_differ_then_names_them() -> None:
    """Two numbers of symbols would say nothing where they are equal."""
    wanted = (TAPE.symbols[0], "ZZ1", "ZZ2", "ZZ3", "ZZ4", "ZZ5", "ZZ6")
    with pytest.raises(TapeError) as raised:
        check_history(TAPE, epoch(wanted, timeframe="1s"))
    assert f"do not know: {TAPE.symbols[1]};" in str(raised.value)
    assert "without bars: ZZ1, ZZ2, ZZ3, ZZ4, ZZ5 and 1 more" in str(raised.value)


def test_check_history_when_the_timeframe_differs_then_says_both() -> None:
    """The file's own timeframe was found from its times: the reader sees what was."""
    with pytest.raises(TapeError, match=r"bars of 1s, expected 1day; .*: none; .*: none"):
        check_history(TAPE, epoch(TAPE.symbols, timeframe="1day"))


def test_check_history_when_it_ends_in_the_future_then_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A live clock would close its bars a second time."""
    monkeypatch.setattr(warm, "wall_ns", lambda: TAPE.closes_ns()[-1] - 1)
    with pytest.raises(TapeError, match="expected a time in the past"):
        check_history(TAPE, epoch(TAPE.symbols, timeframe="1s"))
