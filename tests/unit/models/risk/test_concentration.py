"""Concentration by hand, and tight to the lot against exact fractions, long and short."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.portfolio.ledger import MONEY_SCALE
from models.risk.account import Account
from models.risk.concentration import (
    asset_fraction,
    gross_exposure,
    leverage,
    net_exposure,
    sector_fraction,
)
from models.risk.controls import check
from models.risk.limits import Finding, Order
from tests.oracles import FREE, account_of

SYMBOLS = ("AAA", "BBB", "CCC")
SECTORS = {"AAA": "x", "BBB": "x", "CCC": "y"}


def test_asset_when_ten_lots_of_a_thousand_are_asked_then_has_room_for_two() -> None:
    """A quarter of 1000 is 250: two lots of 100, and ten would be the whole account."""
    account = account_of({"AAA": 100.0}, limits=FREE._replace(max_asset_fraction=0.25))
    assert asset_fraction(account, Order("AAA", 10)) == Finding(
        "MAX_ASSET_FRACTION", "AAA would be 1.0000 of equity; the limit is 0.25", 0.25, 1.0, 2
    )


def test_asset_when_held_and_open_then_both_take_room() -> None:
    """Held 1 and buying 1 of 100 in an account worth 1100: 275 allows no third."""
    account = account_of(
        {"AAA": 100.0},
        held={"AAA": 1},
        orders=[("AAA", 1)],
        limits=FREE._replace(max_asset_fraction=0.25),
    )
    assert account.equity == 1_100 * MONEY_SCALE
    finding = asset_fraction(account, Order("AAA", 1))
    assert finding.room_lots == 0
    assert finding.actual == pytest.approx(300 / 1_100)


def test_asset_when_a_price_drifts_over_the_limit_then_only_reductions_pass() -> None:
    """Three of 100 in 1000 drift to 0.3: no breach by itself, but nothing may be added."""
    account = account_of(
        {"AAA": 100.0}, cash=700, held={"AAA": 3}, limits=FREE._replace(max_asset_fraction=0.25)
    )
    assert [b.code for b in check(account, Order("AAA", 1))[0]] == ["MAX_ASSET_FRACTION"]
    assert check(account, Order("AAA", -3)) == ([], 3)


def test_asset_when_short_then_the_other_side_counts_as_well() -> None:
    """Short 2 of 100 in 1000 (equity 800 of cash 1000): a quarter, 200, is used up."""
    account = account_of(
        {"AAA": 100.0},
        held={"AAA": -2},
        limits=FREE._replace(max_asset_fraction=0.25, allow_short=True),
        shortable=frozenset(SYMBOLS),
    )
    assert [b.code for b in check(account, Order("AAA", -1))[0]] == ["MAX_ASSET_FRACTION"]
    # Two buy the short back, two more are long to the limit.
    assert check(account, Order("AAA", 4)) == ([], 4)
    assert [b.code for b in check(account, Order("AAA", 5))[0]] == ["MAX_ASSET_FRACTION"]


def test_sector_when_half_is_used_then_others_of_it_have_no_room() -> None:
    """Five of BBB at 100 in 1000 are half: AAA shares the sector, CCC does not."""
    account = account_of(
        dict.fromkeys(SYMBOLS, 100.0),
        cash=500,
        held={"BBB": 5},
        limits=FREE._replace(max_sector_fraction=0.5),
        sectors=SECTORS,
    )
    finding = sector_fraction(account, Order("AAA", 1))
    assert (finding.code, finding.limit, finding.actual, finding.room_lots) == (
        "MAX_SECTOR_FRACTION",
        0.5,
        0.6,
        0,
    )
    assert check(account, Order("CCC", 5)) == ([], 5)
    assert check(account, Order("BBB", -5)) == ([], 5)


def test_sector_when_it_is_not_named_then_is_one_for_all() -> None:
    """What is unclassified cannot be told apart, so it shares a limit."""
    account = account_of(
        dict.fromkeys(SYMBOLS, 100.0),
        cash=600,
        held={"BBB": 4},
        limits=FREE._replace(max_sector_fraction=0.5),
    )
    assert check(account, Order("AAA", 2))[1] == 1


def test_leverage_when_the_book_is_full_then_has_the_rest() -> None:
    """Gross 1400 of 1000 equity leaves 100 of 1.5: one lot."""
    account = account_of(
        {"AAA": 100.0, "BBB": 100.0},
        cash=-400,
        held={"BBB": 14},
        limits=FREE._replace(max_leverage=1.5),
    )
    assert leverage(account, Order("AAA", 2)) == Finding(
        "MAX_LEVERAGE", "gross exposure would be 1.6000 of equity; the limit is 1.5", 1.5, 1.6, 1
    )


def test_leverage_when_long_and_short_then_adds_both() -> None:
    """Long 500 and short 500 are 1000 gross: a limit of 1 leaves nothing, and net is 0."""
    account = account_of(
        dict.fromkeys(SYMBOLS, 100.0),
        held={"AAA": 5, "BBB": -5},
        limits=FREE._replace(max_leverage=1.0, max_net_fraction=0.2),
    )
    assert leverage(account, Order("CCC", 1)).room_lots == 0
    assert net_exposure(account, Order("CCC", 1)).room_lots == 2


def test_gross_when_the_day_has_gained_then_the_gain_is_not_lent_on() -> None:
    """Half as much again as the 1000 that the day began with, not as the 1500 of now."""
    account = account_of(
        {"AAA": 100.0, "BBB": 100.0},
        cash=500,
        held={"BBB": 10},
        limits=FREE._replace(max_leverage=1.5, max_gross_fraction=1.5),
    )
    account.kept.day.open_equity = 1_000 * MONEY_SCALE
    finding = gross_exposure(account, Order("AAA", 6))
    assert (finding.code, finding.actual, finding.room_lots) == ("MAX_GROSS_EXPOSURE", 1.6, 5)
    assert leverage(account, Order("AAA", 6)).room_lots == 12


@pytest.mark.parametrize("capital", [0, -1])
def test_gross_when_the_day_began_with_nothing_then_has_no_room(capital: int) -> None:
    """No capital carries no exposure, gross or net, and no division by zero."""
    account = account_of({"AAA": 1.0})
    account.kept.day.open_equity = capital
    for control in (gross_exposure, net_exposure):
        finding = control(account, Order("AAA", 1))
        assert (finding.actual, finding.room_lots) == (float("inf"), 0)


@pytest.mark.parametrize(("lots", "room"), [(1, 3), (-1, 17)])
def test_net_when_long_then_each_direction_has_its_room(lots: int, room: int) -> None:
    """Net 700 of 1000: three lots up to 1.0, seventeen down to -1.0."""
    account = account_of(
        {"AAA": 100.0, "BBB": 100.0},
        cash=300,
        held={"BBB": 7},
        limits=FREE._replace(max_net_fraction=1.0),
    )
    finding = net_exposure(account, Order("AAA", lots))
    assert (finding.code, finding.room_lots) == ("MAX_NET_EXPOSURE", room)


def test_net_when_broken_then_names_the_direction() -> None:
    """A book too short is told apart from one too long."""
    account = account_of({"AAA": 100.0}, limits=FREE._replace(max_net_fraction=1.0))
    assert "net short exposure would be 1.1000" in net_exposure(account, Order("AAA", -11)).message
    assert "net long exposure would be 1.1000" in net_exposure(account, Order("AAA", 11)).message


@pytest.mark.parametrize("cash", [0, -500])
def test_exposure_when_there_is_no_equity_then_has_no_room(cash: int) -> None:
    """No division by zero: the reached share is infinite and every buy is refused."""
    account = account_of({"AAA": 100.0}, cash=cash)
    for control in (asset_fraction, sector_fraction, leverage):
        finding = control(account, Order("AAA", 1))
        assert (finding.actual, finding.room_lots) == (float("inf"), 0)


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    """Draw an account of three symbols, long and short, with open orders on both sides."""
    prices = {s: draw(st.integers(1, 50_000)) / 100 for s in SYMBOLS}
    held = {s: draw(st.integers(-200, 200)) for s in SYMBOLS}
    sides = st.tuples(st.sampled_from(SYMBOLS), st.integers(-50, 50).filter(bool))
    share = st.integers(1, 300).map(lambda percent: percent / 100)
    limits = FREE._replace(
        max_asset_fraction=draw(share),
        max_sector_fraction=draw(share),
        max_leverage=draw(share),
        max_gross_fraction=draw(share),
        max_net_fraction=draw(share),
        allow_short=True,
    )
    return account_of(
        prices,
        cash=draw(st.integers(-2_000, 200_000)),
        held=held,
        orders=draw(st.lists(sides, max_size=4)),
        limits=limits,
        sectors=SECTORS,
        shortable=frozenset(SYMBOLS),
    )


def reached(account: Account, order: Order) -> dict[str, Fraction]:
    """Give by fractions what each control would see if the order may have filled as well."""
    book, worst, net = account.book, {}, Fraction(0)
    equity = Fraction(book.cash, MONEY_SCALE)
    side = 1 if order.lots > 0 else -1
    for name, position in book.positions.items():
        price = Fraction(position.price_e8, 10**8)
        equity += position.lots * price
        mine = [o.lots for o in account.reservations.orders if o.symbol == name]
        if name == order.symbol:
            mine.append(order.lots)
        up = position.lots + sum(lots for lots in mine if lots > 0)
        down = position.lots + sum(lots for lots in mine if lots < 0)
        worst[name] = max(abs(up), abs(down)) * price
        net += (up if side > 0 else down) * price
    together = sum(worst.values(), Fraction(0))
    sector = sum((v for s, v in worst.items() if SECTORS[s] == SECTORS[order.symbol]), Fraction(0))
    opened = Fraction(account.kept.day.open_equity, MONEY_SCALE)
    return {
        "max_asset_fraction": worst[order.symbol] / equity,
        "max_sector_fraction": sector / equity,
        "max_leverage": together / equity,
        "max_gross_fraction": together / opened,
        "max_net_fraction": side * net / opened,
    }


@given(accounts(), st.sampled_from([1, -1]))
def test_rooms_when_any_account_then_are_tight_to_the_lot(account: Account, side: int) -> None:
    """The allowed quantity keeps every limit or only reduces; one lot more breaks one of them."""
    assume(account.equity > 0)
    limits = account.limits._asdict()

    def holds(lots: int) -> bool:
        order = Order("AAA", side * lots)
        found = reached(account, order)
        return lots <= account.reducible(order) or all(
            value <= Fraction(str(limits[name])) for name, value in found.items()
        )

    breaches, allowed = check(account, Order("AAA", side))
    assert (not breaches) == (allowed >= 1)
    assert allowed == 0 or holds(allowed)
    assert not holds(allowed + 1)


@given(accounts(), st.integers(-300, 300).filter(bool))
def test_actual_when_any_order_then_is_what_it_would_reach(account: Account, lots: int) -> None:
    """The value reported is the share after the order, by fractions."""
    assume(account.equity > 0)
    order = Order("AAA", lots)
    expected = reached(account, order)
    for control, name in (
        (asset_fraction, "max_asset_fraction"),
        (sector_fraction, "max_sector_fraction"),
        (leverage, "max_leverage"),
        (gross_exposure, "max_gross_fraction"),
        (net_exposure, "max_net_fraction"),
    ):
        assert control(account, order).actual == pytest.approx(float(expected[name]))


def test_sector_when_prices_have_moved_it_over_then_only_reductions_pass() -> None:
    """Seven of 1000 in a sector that may have five: none more, all three of AAA may go."""
    account = account_of(
        dict.fromkeys(SYMBOLS, 100.0),
        cash=300,
        held={"AAA": 3, "BBB": 4},
        limits=FREE._replace(max_sector_fraction=0.5),
        sectors=SECTORS,
    )
    breaches, allowed = check(account, Order("AAA", 1))
    assert ([b.code for b in breaches], allowed) == (["MAX_SECTOR_FRACTION"], 0)
    assert check(account, Order("AAA", -3)) == ([], 3)


def test_gross_when_orders_are_open_then_counts_them_as_filled() -> None:
    """Nine of ten lots are on their way: one is left."""
    account = account_of(
        {"AAA": 100.0, "BBB": 100.0},
        orders=[("BBB", 9)],
        limits=FREE._replace(max_gross_fraction=1.0),
    )
    assert check(account, Order("AAA", 1)) == ([], 1)
    breaches, allowed = check(account, Order("AAA", 2))
    assert ([b.code for b in breaches], allowed) == (["MAX_GROSS_EXPOSURE"], 1)


def test_gross_when_above_its_limit_then_reductions_pass() -> None:
    """Twenty lots held where ten may be: each of them may go."""
    account = account_of(
        {"AAA": 100.0}, cash=0, held={"AAA": 20}, limits=FREE._replace(max_gross_fraction=0.5)
    )
    assert check(account, Order("AAA", -5)) == ([], 20)
    assert [b.code for b in check(account, Order("AAA", 1))[0]] == ["MAX_GROSS_EXPOSURE"]
