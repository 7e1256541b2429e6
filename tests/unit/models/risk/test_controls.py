"""Controls by hand, and their rooms tight to the lot against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.portfolio.reservation import OpenOrder
from models.risk.account import Account
from models.risk.controls import asset_fraction, book_correlation, check_buy, leverage
from models.risk.limits import UNBOUNDED_LOTS, Finding, RiskLimits
from tests.oracles import account_of, exposure

LIMITS = RiskLimits(0.25, 1.5, 0.8, 4, 0.005)
FREE = LIMITS._replace(max_correlation=1.0)


def test_asset_when_ten_lots_of_a_thousand_are_asked_then_has_room_for_two() -> None:
    """A quarter of 1000 is 250: two lots of 100, and ten would be the whole account."""
    account = account_of({"AAA": 100.0}, limits=LIMITS)
    assert asset_fraction(account, "AAA", 10) == Finding(
        "MAX_ASSET_FRACTION", "AAA would be 1.0000 of equity; the limit is 0.25", 0.25, 1.0, 2
    )


def test_asset_when_held_and_open_then_both_take_room() -> None:
    """Held 1 and buying 1 of 100 in an account worth 1100: 275 allows no third."""
    account = account_of({"AAA": 100.0}, held={"AAA": 1}, orders=[("AAA", 1)], limits=LIMITS)
    assert account.equity == 1_100 * 10**16
    finding = asset_fraction(account, "AAA", 1)
    assert finding.room_lots == 0
    assert finding.actual == pytest.approx(300 / 1_100)


def test_leverage_when_the_book_is_full_then_has_the_rest() -> None:
    """Gross 1400 of 1000 equity leaves 100 of 1.5: one lot."""
    account = account_of({"AAA": 100.0, "BBB": 100.0}, cash=-400, held={"BBB": 14}, limits=LIMITS)
    assert leverage(account, "AAA", 2) == Finding(
        "MAX_LEVERAGE", "gross exposure would be 1.6000 of equity; the limit is 1.5", 1.5, 1.6, 1
    )


def test_controls_when_there_is_no_equity_then_have_no_room() -> None:
    """No division by zero: the reached share is infinite and every buy is refused."""
    for cash in (0, -500):
        account = account_of({"AAA": 100.0}, cash=cash, limits=LIMITS)
        breaches, allowed = check_buy(account, "AAA", 1)
        assert [b.code for b in breaches] == ["MAX_ASSET_FRACTION", "MAX_LEVERAGE"]
        assert allowed == 0
        assert all(b.actual == float("inf") for b in breaches)


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    """Draw an account of three symbols with positions and open orders."""
    symbols = ("AAA", "BBB", "CCC")
    prices = {s: draw(st.integers(1, 50_000)) / 100 for s in symbols}
    held = {s: draw(st.integers(0, 200)) for s in symbols}
    orders = draw(
        st.lists(st.tuples(st.sampled_from(symbols), st.integers(-50, 50).filter(bool)), max_size=4)
    )
    limits = RiskLimits(
        draw(st.integers(1, 100)) / 100, draw(st.integers(1, 300)) / 100, 1.0, 4, 0.0
    )
    cash = draw(st.integers(-2_000, 200_000))
    return account_of(prices, cash=cash, held=held, orders=orders, limits=limits)


def holds(account: Account, lots: int) -> bool:
    """Tell by fractions whether buying so many AAA keeps both exposure limits."""
    asset, gross = exposure(account, "AAA", lots)
    limits = account.limits
    return asset <= Fraction(str(limits.max_asset_fraction)) and gross <= Fraction(
        str(limits.max_leverage)
    )


@given(accounts())
def test_rooms_when_any_account_then_are_tight_to_the_lot(account: Account) -> None:
    """The allowed quantity keeps every limit exactly, and one lot more breaks one."""
    assume(account.equity > 0)
    rooms = [control(account, "AAA", 1).room_lots for control in (asset_fraction, leverage)]
    allowed = min(rooms)
    assert allowed == 0 or holds(account, allowed)
    assert not holds(account, allowed + 1)


@given(accounts(), st.integers(1, 300))
def test_actual_when_any_order_then_is_what_it_would_reach(account: Account, lots: int) -> None:
    """The value reported is the share after the order, by fractions."""
    assume(account.equity > 0)
    asset, gross = exposure(account, "AAA", lots)
    assert asset_fraction(account, "AAA", lots).actual == pytest.approx(float(asset))
    assert leverage(account, "AAA", lots).actual == pytest.approx(float(gross))


@given(accounts(), st.lists(st.tuples(st.sampled_from(("AAA", "BBB", "CCC")), st.integers(1, 99))))
def test_reserve_when_orders_follow_each_other_then_room_counts_all(
    account: Account, orders: list[tuple[str, int]]
) -> None:
    """An account that counted orders one by one agrees with one made from all of them."""
    for symbol, lots in orders:
        account.reserve(OpenOrder(symbol, lots, 0))
    fresh = Account(
        account.book, account.reservations, account.limits, tuple(account.index), account.returns
    )
    assert account.gross == fresh.gross
    assert account.exposed == fresh.exposed
    np.testing.assert_allclose(account.weights, fresh.weights)


UP = [0.01, -0.02, 0.03, 0.01]


def correlated(window: list[list[float]], limits: RiskLimits = LIMITS) -> Account:
    """Build an account that holds BBB and is asked about AAA."""
    return account_of(
        {"AAA": 1.0, "BBB": 1.0}, held={"BBB": 10}, limits=limits, window=np.array(window)
    )


@pytest.mark.parametrize(
    ("window", "actual", "room"),
    [
        ([UP, UP], 1.0, 0),
        ([[-r for r in UP], UP], -1.0, UNBOUNDED_LOTS),
        ([[0.0] * 4, UP], 0.0, UNBOUNDED_LOTS),
        ([UP, [np.nan] * 4], 0.0, UNBOUNDED_LOTS),
    ],
)
def test_correlation_when_moves_are_equal_opposite_or_none_then_decides(
    window: list[list[float]], actual: float, room: int
) -> None:
    """The same moves are refused, opposite ones and no moves are not."""
    finding = book_correlation(correlated(window), "AAA", 1)
    assert finding.code == "MAX_CORRELATION"
    assert finding.actual == pytest.approx(actual)
    assert finding.room_lots == room


def test_correlation_when_at_the_limit_then_passes() -> None:
    """Not above the limit is allowed."""
    assert book_correlation(correlated([UP, UP], FREE), "AAA", 1).room_lots == UNBOUNDED_LOTS


@pytest.mark.parametrize(("n_seen", "room"), [(2, 0), (3, UNBOUNDED_LOTS)])
def test_correlation_when_history_is_short_then_asks_for_three_quarters(
    n_seen: int, room: int
) -> None:
    """Three of four returns are enough to judge, two are not."""
    history = [np.nan] * (4 - n_seen) + [-r for r in UP][4 - n_seen :]
    finding = book_correlation(correlated([history, UP]), "AAA", 1)
    assert finding.room_lots == room
    if not room:
        assert (finding.code, finding.limit, finding.actual) == ("CORRELATION_WARMUP", 3, 2)


def test_correlation_when_the_book_is_empty_then_nothing_is_asked() -> None:
    """The first position needs no history."""
    finding = book_correlation(account_of({"AAA": 1.0}, limits=LIMITS), "AAA", 1)
    assert (finding.actual, finding.room_lots) == (0.0, UNBOUNDED_LOTS)


def test_check_when_several_controls_break_then_names_all_in_their_order() -> None:
    """Every broken limit is a reason; the room is the smallest of all."""
    account = account_of(
        {"AAA": 100.0, "BBB": 100.0},
        cash=-400,
        held={"BBB": 14},
        limits=LIMITS,
        window=np.array([UP, UP]),
    )
    breaches, allowed = check_buy(account, "AAA", 5)
    assert [b.code for b in breaches] == ["MAX_ASSET_FRACTION", "MAX_LEVERAGE", "MAX_CORRELATION"]
    assert allowed == 0
    breaches, allowed = check_buy(account_of({"AAA": 100.0}, limits=LIMITS), "AAA", 2)
    assert (breaches, allowed) == ([], 2)
