"""What may be lost: value at risk, correlation and the day's loss, by hand and tight to the lot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.portfolio.ledger import MONEY_SCALE
from models.risk.account import Account
from models.risk.controls import check
from models.risk.limits import UNBOUNDED_LOTS, Order, RiskLimits
from models.risk.losses import (
    AtRisk,
    book_correlation,
    daily_loss,
    horizon,
    keeps_value_at_risk,
    value_at_risk,
)
from models.risk.sessions import DAY_NS
from models.risk.var import NORMAL_QUANTILE
from tests.oracles import FREE, account_of

CORRELATED = FREE._replace(max_correlation=0.8)
UP = [0.01, -0.02, 0.03, 0.01]


def risky(limits: RiskLimits, moves: list[float], **more: object) -> Account:
    """Build an account of daily bars in AAA at 100, whose window holds ``moves``."""
    sized = limits._replace(var_bars=len(moves), correlation_bars=2)
    window = np.array([moves])
    return account_of({"AAA": 100.0}, limits=sized, window=window, bar_ns=DAY_NS, **more)  # type: ignore[arg-type]  fields of the account


def test_var_when_the_fourth_worst_of_sixty_days_lost_then_counts_it() -> None:
    """Three of sixty may lose more: the fourth, 4 %, is the VaR; 2 % of 1000 allow five lots."""
    moves = [-0.1, -0.1, -0.1, -0.04, *[0.0] * 56]
    account = risky(FREE._replace(max_var_fraction=0.02, var_min_bars=60), moves)
    finding = value_at_risk(account, Order("AAA", 6))
    assert (finding.code, finding.limit, finding.room_lots) == ("MAX_VAR", 0.02, 5)
    assert finding.actual == pytest.approx(0.024)
    assert check(account, Order("AAA", 5)) == ([], 5)


def test_var_when_the_last_days_are_wild_then_the_normal_one_binds() -> None:
    """One day of 10 % at the end is no quantile, but its variance weighs six hundredths."""
    account = risky(FREE._replace(max_var_fraction=0.02), [*[0.0] * 59, -0.1])
    weight = 0.06 / (1 - 0.94**60)
    lots = 20 / (NORMAL_QUANTILE * weight**0.5 * 10)
    assert value_at_risk(account, Order("AAA", 1)).room_lots == int(lots)


@pytest.mark.parametrize(("n_seen", "code"), [(59, "VAR_WARMUP"), (60, "MAX_VAR")])
def test_var_when_the_history_is_short_then_new_risk_is_refused(n_seen: int, code: str) -> None:
    """Sixty returns are enough, fifty-nine are not; what is held may go all the same."""
    moves = [*[np.nan] * (80 - n_seen), *[0.001] * n_seen]
    account = risky(FREE._replace(var_min_bars=60), moves, held={"AAA": 2})
    finding = value_at_risk(account, Order("AAA", 1))
    assert finding.code == code
    assert check(account, Order("AAA", -2)) == ([], 2)
    if code == "VAR_WARMUP":
        assert (finding.limit, finding.actual, finding.room_lots) == (60, 59, 0)


def test_var_when_bars_are_minutes_then_a_day_is_scaled_by_the_root_of_time() -> None:
    """1440 minutes: a day's VaR is 37.9 times that of a minute."""
    assert horizon(60_000_000_000) == pytest.approx(1440**0.5)
    assert horizon(7 * DAY_NS) == 1.0
    moves = [-0.001, -0.001, -0.001, -0.0004, *[0.0] * 56]
    account = risky(FREE._replace(max_var_fraction=0.02), moves)
    account.adopt(account.rules._replace(bar_ns=DAY_NS // 10_000))
    # 0.0004 x 100 = 4 % of each lot's 100 a day, as in the test of days.
    assert value_at_risk(account, Order("AAA", 1)).room_lots == 5


def test_at_risk_when_looked_at_then_is_that_of_the_open_book() -> None:
    """Held 2 and buying 1 of 100: 300 times 4 % are 12, by the historical measure."""
    moves = [-0.1, -0.1, -0.1, -0.04, *[0.0] * 56]
    found = AtRisk(risky(FREE, moves, held={"AAA": 2}, orders=[("AAA", 1)]))
    assert found.historical == pytest.approx(12.0)
    assert found.normal > 0
    assert found.n_bars == 60


@st.composite
def books(draw: st.DrawFn) -> Account:
    """Draw an account of three symbols, long and short, with a window that binds."""
    seed = draw(st.integers(0, 10**6))
    numbers = np.random.default_rng(seed)
    window = numbers.normal(0, 0.02, (3, 40)) + numbers.normal(0, 0.01, 40)
    symbols = ("AAA", "BBB", "CCC")
    limits = FREE._replace(
        var_bars=40,
        correlation_bars=40,
        max_var_fraction=draw(st.integers(1, 80)) / 1_000,
        allow_short=True,
    )
    return account_of(
        {s: draw(st.integers(100, 5_000)) / 100 for s in symbols},
        cash=draw(st.integers(1_000, 100_000)),
        held={s: draw(st.integers(-50, 50)) for s in symbols},
        orders=draw(
            st.lists(
                st.tuples(st.sampled_from(symbols), st.integers(-20, 20).filter(bool)), max_size=3
            )
        ),
        limits=limits,
        window=window,
        bar_ns=DAY_NS,
        shortable=frozenset(symbols),
    )


@given(books(), st.sampled_from([1, -1]))
def test_var_room_when_any_account_then_passes_and_one_more_fails(
    account: Account, side: int
) -> None:
    """The allowed quantity passes as an order; one lot more is refused for its VaR."""
    if account.equity <= 0:
        return
    breaches, allowed = check(account, Order("AAA", side))
    assert (not breaches) == (allowed >= 1)
    if allowed:
        assert check(account, Order("AAA", side * allowed)) == ([], allowed)
    refused, again = check(account, Order("AAA", side * (allowed + 1)))
    assert [b.code for b in refused] == ["MAX_VAR"]
    assert again == allowed
    assert refused[0].actual > account.limits.max_var_fraction * (1 - 1e-9)


@given(books(), st.sampled_from([1, -1]), st.integers(1, 200))
def test_keeps_var_when_plain_then_the_control_has_the_room(
    account: Account, side: int, lots: int
) -> None:
    """What is cleared without a closer look is never what a closer look would refuse."""
    if keeps_value_at_risk(account, Order("AAA", side), lots):
        assert value_at_risk(account, Order("AAA", side * lots)).room_lots >= lots


@pytest.mark.parametrize(
    ("var_min_bars", "lots", "plain"), [(60, 5, True), (60, 6, False), (61, 5, False)]
)
def test_keeps_var_when_by_hand_then_is_plain_up_to_the_room(
    var_min_bars: int, lots: int, *, plain: bool
) -> None:
    """The fourth worst of sixty lost 4 %: five lots lose 20, the limit; too short a history no."""
    moves = [-0.1, -0.1, -0.1, -0.04, *[0.0] * 56]
    limits = FREE._replace(max_var_fraction=0.02, var_min_bars=var_min_bars)
    assert keeps_value_at_risk(risky(limits, moves), Order("AAA", 1), lots) == plain


def test_loss_when_two_per_cent_are_gone_then_new_risk_is_refused() -> None:
    """The day began with 1000: at 980 it stops, at a hair above it does not."""
    for equity, code in ((980, ["MAX_DAILY_LOSS"]), (980 + 10**-8, [])):
        account = account_of(
            {"AAA": 1.0}, held={"AAA": 10}, limits=FREE._replace(max_daily_loss_fraction=0.02)
        )
        account.kept.day.open_equity = 1_000 * MONEY_SCALE
        account.book.cash = round(equity * 10**8) * 10**8 - 10 * MONEY_SCALE
        assert [b.code for b in check(account, Order("AAA", 1))[0]] == code
        assert check(account, Order("AAA", -10)) == ([], 10)


def test_loss_when_the_next_day_begins_then_starts_at_nothing() -> None:
    """The stop ends with the day, whose end is the next one's beginning."""
    account = account_of({"AAA": 1.0}, limits=FREE._replace(max_daily_loss_fraction=0.02))
    account.kept.day.open_equity = 2_000 * MONEY_SCALE
    assert daily_loss(account, Order("AAA", 1)).actual == 0.5
    account.advance(2 * DAY_NS)
    assert daily_loss(account, Order("AAA", 1)).room_lots == UNBOUNDED_LOTS


def test_loss_when_it_is_unrealised_then_counts_as_well() -> None:
    """A price that falls is a loss before anything is sold."""
    account = account_of(
        {"AAA": 100.0}, cash=0, held={"AAA": 10}, limits=FREE._replace(max_daily_loss_fraction=0.02)
    )
    account.mark(1, {"AAA": 98.0})
    finding = daily_loss(account, Order("AAA", 1))
    assert (finding.actual, finding.room_lots) == (0.02, 0)


@pytest.mark.parametrize("opened", [0, -5])
def test_loss_when_the_day_began_with_nothing_then_nothing_is_risked(opened: int) -> None:
    """A share of nothing is no share."""
    account = account_of({"AAA": 1.0})
    account.kept.day.open_equity = opened
    assert daily_loss(account, Order("AAA", 1)).room_lots == 0


def correlated(window: list[list[float]], limits: RiskLimits = CORRELATED) -> Account:
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
    finding = book_correlation(correlated(window), Order("AAA", 1))
    assert finding.code == "MAX_CORRELATION"
    assert finding.actual == pytest.approx(actual)
    assert finding.room_lots == room


def test_correlation_when_sold_short_then_has_the_other_sign() -> None:
    """Shorting what moves with the book hedges it; shorting its mirror adds to it."""
    assert book_correlation(correlated([UP, UP]), Order("AAA", -1)).room_lots == UNBOUNDED_LOTS
    mirror = correlated([[-r for r in UP], UP])
    assert book_correlation(mirror, Order("AAA", -1)).room_lots == 0


def test_correlation_when_at_the_limit_then_passes() -> None:
    """Not above the limit is allowed."""
    finding = book_correlation(correlated([UP, UP], FREE), Order("AAA", 1))
    assert finding.room_lots == UNBOUNDED_LOTS


@pytest.mark.parametrize(("n_seen", "room"), [(2, 0), (3, UNBOUNDED_LOTS)])
def test_correlation_when_history_is_short_then_asks_for_three_quarters(
    n_seen: int, room: int
) -> None:
    """Three of four returns are enough to judge, two are not."""
    history = [np.nan] * (4 - n_seen) + [-r for r in UP][4 - n_seen :]
    finding = book_correlation(correlated([history, UP]), Order("AAA", 1))
    assert finding.room_lots == room
    if not room:
        assert (finding.code, finding.limit, finding.actual) == ("CORRELATION_WARMUP", 3, 2)


@pytest.mark.parametrize(("scale", "actual"), [(1e-6, 0.0), (1e-4, 1.0)])
def test_correlation_when_the_book_stands_still_then_its_rounding_decides_nothing(
    scale: float, actual: float
) -> None:
    """Ten of an equity of 1010 that move by 2e-8 a bar are below a billionth of it, by 2e-6 not."""
    found = book_correlation(correlated([UP, [r * scale for r in UP]]), Order("AAA", 1))
    assert found.actual == pytest.approx(actual)


def test_correlation_when_the_book_is_empty_then_nothing_is_asked() -> None:
    """The first position needs no history."""
    finding = book_correlation(account_of({"AAA": 1.0}, limits=CORRELATED), Order("AAA", 1))
    assert (finding.actual, finding.room_lots) == (0.0, UNBOUNDED_LOTS)
