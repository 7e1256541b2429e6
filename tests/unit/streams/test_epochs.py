"""An epoch names everything that decides, and refuses what it does not define."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from streams import epochs
from streams.epochs import Challenge, Costs, Epoch, Instrument, Limits, Portfolio
from streams.errors import SettingsError
from streams.partitions import symbols_of
from tests.builders import epoch, homes


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 10**8), ("0.00000001", 1), ("1e-8", 1), ("100", 10**10), ("0.5", 5 * 10**7)],
)
def test_lot_size_when_a_decimal_text_then_is_exact(text: str, expected: int) -> None:
    """Lots are counted in units of 1e-8, without a float in between."""
    assert Instrument(id="A", lot_size=text).lot_size_e8() == expected


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-1",
        "1e-9",
        "0.123456789",
        "NaN",
        "Infinity",
        "lots",
        "",
        "1e999999999",
        "1e-999999999",
    ],
)
def test_lot_size_when_no_usable_number_then_refuses(text: str) -> None:
    """Nothing, less than 1e-8, more than can be meant and no number at all name the setting."""
    with pytest.raises(SettingsError, match=r"instruments\.A\.lot_size"):
        Instrument(id="A", lot_size=text).lot_size_e8()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1000000", 10**22),
        ("0.0000000000000001", 1),
        ("999999999999999.0000000000000001", 9999999999999990000000000000001),
    ],
)
def test_cash_when_a_decimal_text_then_is_exact(text: str, expected: int) -> None:
    """Cash keeps all its digits, more than a float or 28 decimal places hold."""
    assert Portfolio(id="p", cash=text).cash_e16() == expected


@pytest.mark.parametrize("text", ["0", "-1", "1e-17", "NaN", "much", "1e999999999", "1e15"])
def test_cash_when_no_usable_number_then_refuses(text: str) -> None:
    """An account without money cannot have fractions of it."""
    with pytest.raises(SettingsError, match=r"portfolios\.p\.cash"):
        Portfolio(id="p", cash=text).cash_e16()


def test_check_when_the_defaults_are_used_then_accepts() -> None:
    """What ships is valid."""
    epoch().check()


def one(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  any field
    """Change the only portfolio."""
    return {"portfolios": (Portfolio(**({"id": "p"} | changes)),)}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"timeframe": "7min"}, "timeframe was '7min'"),
    ({"n_partitions": 0}, "n_partitions was 0"),
    ({"lateness_ms": -1}, "lateness_ms was -1"),
    ({"max_ahead_ms": -1}, "max_ahead_ms was -1"),
    ({"venue_latency_ms": -1}, "venue_latency_ms was -1"),
    ({"symbols": ("A", "A")}, "instruments are listed twice"),
    ({"symbols": ("",)}, "instruments has the id ''"),
    ({"symbols": ("A\x1fB",)}, "printable"),
    ({"symbols": ("A" * 65,)}, "printable"),
    ({"instruments": (Instrument(id="A", lot_size="0"),)}, "lot_size was '0'"),
    ({"instruments": (Instrument(id="A", currency="EUR"),)}, "CURRENCY_MISMATCH"),
    ({"portfolios": (Portfolio(id="p"), Portfolio(id="p"))}, "portfolios are listed twice"),
    (one(id="p\n"), "portfolios has the id"),
    (one(universe=("ZZZ",)), "universe names 'ZZZ'"),
    (one(universe=("AAA", "AAA")), "names a symbol twice"),
    (one(currency="EUR"), "CURRENCY_MISMATCH"),
    (one(cash="nothing"), "cash was 'nothing'"),
    (one(order_expiry_bars=0), "order_expiry_bars was 0"),
    (one(limits=Limits(max_asset_fraction=0)), "max_asset_fraction was 0"),
    (one(limits=Limits(max_asset_fraction=float("nan"))), "max_asset_fraction was nan"),
    (one(limits=Limits(max_leverage=-1)), "max_leverage was -1"),
    (one(limits=Limits(max_leverage=float("inf"))), "max_leverage was inf"),
    (one(limits=Limits(max_correlation=1.5)), "max_correlation was 1.5"),
    (one(limits=Limits(correlation_bars=1)), "correlation_bars was 1"),
    (one(limits=Limits(correlation_bars=61, var_bars=60)), "correlation_bars was 61; expected at"),
    (one(limits=Limits(var_min_bars=61, var_bars=60)), "var_min_bars was 61; expected at most"),
    (one(limits=Limits(min_trade_fraction=-0.1)), "min_trade_fraction was -0.1"),
    (one(costs=Costs(slippage_bps=-1)), "slippage_bps was -1"),
    (one(costs=Costs(fee_bps=float("nan"))), "fee_bps was nan"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_check_when_something_is_wrong_then_names_the_setting(
    changes: dict[str, Any], message: str
) -> None:
    """The message has the setting and its value, before anything runs."""
    with pytest.raises(SettingsError, match=message):
        epoch(**changes).check()


def test_chunks_when_a_partition_is_large_then_are_cut_at_512(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Chunks follow symbol order, none is longer than the bound, and they cover the partition."""
    universe = homes(2, 600)
    found = epoch(universe, n_partitions=2)
    for partition in (0, 1):
        chunks = found.chunks(partition)
        assert [len(chunk) for chunk in chunks] == [512, 88]
        assert sum(chunks, ()) == symbols_of(partition, tuple(universe), 2)
    monkeypatch.setattr(epochs, "MAX_ROWS", 600)
    assert [len(chunk) for chunk in found.chunks(0)] == [600]


def test_chunks_when_a_partition_has_no_symbol_then_is_one_empty_chunk() -> None:
    """An empty partition still says that a bar closed."""
    assert epoch((), n_partitions=3).chunks(2) == ((),)


SHAPING: list[Callable[[], Epoch]] = [
    lambda: epoch(timeframe="1hour"),
    lambda: epoch(n_partitions=2),
    lambda: epoch(clock_id="other"),
    lambda: epoch(lateness_ms=1),
    lambda: epoch(max_ahead_ms=1),
    lambda: epoch(venue_latency_ms=1),
    lambda: epoch(pipeline_digest="other"),
    lambda: epoch(("AAA",)),
    lambda: epoch(instruments=(Instrument(id="AAA", lot_size="10"), Instrument(id="BBB"))),
    lambda: epoch(portfolios=(Portfolio(id="main"), Portfolio(id="second"))),
    lambda: epoch(portfolios=(Portfolio(id="main", universe=("AAA",)),)),
    lambda: epoch(portfolios=(Portfolio(id="main", limits=Limits(correlation_bars=30)),)),
]


@pytest.mark.parametrize("changed", SHAPING)
def test_layout_when_the_shape_of_a_state_changes_then_differs(
    changed: Callable[[], Epoch],
) -> None:
    """Grid, universe, lots and an account's windows cannot change under a running state."""
    assert changed().layout() != epoch().layout()


def test_layout_when_limits_costs_or_models_change_then_is_the_same() -> None:
    """What decides may change at a bar; order of listing means nothing."""
    limits, costs = Limits(max_asset_fraction=0.1), Costs(fee_bps=9.0)
    other = epoch(
        models="1" * 64, portfolios=(Portfolio(id="main", limits=limits, costs=costs, cash="5"),)
    )
    assert other.layout() == epoch().layout() == epoch(("BBB", "AAA")).layout()


def test_document_when_converted_back_then_is_the_same_epoch() -> None:
    """The document is plain JSON and holds everything."""
    found = epoch(portfolios=(Portfolio(id="p", universe=("AAA",)),))
    plain = msgspec.json.decode(msgspec.json.encode(found.document()))
    assert msgspec.convert(plain, Epoch) == found
    assert found.timeframe_ns == 60 * 10**9


@pytest.mark.parametrize(
    ("rollout", "said"),
    [
        (Challenge(id="r1", challenger="0" * 64), "rollout.challenger"),
        (Challenge(id="r1", challenger="1" * 64, share=1.1), "rollout.share"),
        (Challenge(id="r1", challenger="1" * 64, share=-0.1), "rollout.share"),
        (Challenge(id="r1", challenger="1" * 64, share=float("nan")), "rollout.share"),
        (Challenge(id="", challenger="1" * 64), "rollout.id"),
    ],
)
def test_check_when_a_rollout_cannot_be_then_is_refused(rollout: Challenge, said: str) -> None:
    """Models against themselves, a share that is none, and a name that is no key."""
    with pytest.raises(SettingsError, match=said):
        epoch(rollout=rollout).check()


def test_model_sets_when_a_rollout_runs_then_are_those_that_may_decide() -> None:
    """A shadow decides nothing; a challenger with a share does."""
    first, second = "0" * 64, "1" * 64
    assert epoch().model_sets() == (first,)
    assert epoch(rollout=Challenge(id="r", challenger=second)).model_sets() == (first,)
    shared = Challenge(id="r", challenger=second, share=0.05)
    assert epoch(rollout=shared).model_sets() == (first, second)
