"""One bar through the account: order, sizes and states by hand, limits by a second fold."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.portfolio.ledger import MONEY_SCALE, Position
from models.risk.account import Account, open_account
from models.risk.decide import Outcome, Row, decide, judge
from models.risk.limits import AccountRules, Order
from models.risk.switches import Switch
from models.verification import Terms, verify
from tests.oracles import FREE, Published, rules_of
from tests.strategies import markets

NAN = math.nan
SYMBOLS = ("AAA", "BBB", "CCC")
LIMITS = FREE._replace(
    max_asset_fraction=0.25, max_leverage=0.6, max_correlation=0.95, min_trade_fraction=0.01
)


def opened(rules: AccountRules, cash: int = 1_000) -> Account:
    """Open an account with one unit a lot."""
    return open_account(cash * MONEY_SCALE, dict.fromkeys(rules.symbols, 10**8), rules)


def row(symbol: str = "AAA", target: float = 0.2, *, fill: float = NAN, sure: float = 0.6) -> Row:
    """Build a bar at 100."""
    return Row(symbol, 100.0, fill, sure, target)


def run(rules: AccountRules, bars: list[list[Row]], cash: int = 1_000) -> list[Outcome]:
    """Decide bars one after the other."""
    account, outcomes = opened(rules, cash), []
    for number, rows in enumerate(bars, start=1):
        outcome = decide(account, number, rows)
        outcomes.append(outcome)
    return outcomes


def test_decide_when_the_first_bar_comes_then_buys_the_target() -> None:
    """A fifth of 1000 is two lots of 100, approved and reserved at once."""
    account = opened(rules_of(SYMBOLS))
    outcome = decide(account, 1, [row()])
    (verdict,) = outcome.verdicts
    assert (verdict.lots, verdict.approved, verdict.breaches, verdict.note) == (2, True, (), "")
    assert outcome.executions == ()
    assert account.reservations.lots("AAA") == 2
    assert account.book.cash == 1_000 * MONEY_SCALE


def test_decide_when_the_next_bar_has_a_price_then_fills_the_order_first() -> None:
    """Two lots at 101 with slippage of 1 % cost 204.02; the fee is 1 % of that."""
    rules = rules_of(SYMBOLS, slippage_bps=100.0, fee_bps=100.0)
    account = opened(rules)
    decide(account, 1, [row()])
    outcome = decide(account, 2, [row(fill=101.0)])
    ((order, fill, *_),) = outcome.executions
    assert (order.symbol, order.lots, order.placed_ns) == ("AAA", 2, 1)
    assert fill is not None
    assert fill.price_e8 == 102_01000000
    assert fill.fee == 2_0402 * MONEY_SCALE // 10_000
    assert account.book.position("AAA") == Position(2, 20402 * MONEY_SCALE // 100, 100 * 10**8)
    assert account.book.cash == (1_000 * 10_000 - 204_0200 - 2_0402) * MONEY_SCALE // 10_000


@pytest.mark.parametrize(("placed_ns", "fills_at"), [(1, 2), (2, 3), (3, 4)])
def test_decide_when_an_order_came_behind_a_close_then_fills_behind_the_next(
    placed_ns: int, fills_at: int
) -> None:
    """A bar's fill price is made behind the close before it: no order may be younger than that.

    Expiry counts from the first bar that could have filled it.
    """
    rules = rules_of(SYMBOLS, expiry=1)
    account = opened(rules)
    decide(account, 1, [row(target=NAN)])
    assert judge(account, row(), Order("AAA", 2), placed_ns, "k").approved
    for close in range(2, fills_at):
        assert decide(account, close, [row(target=NAN, fill=90.0)]).executions == ()
    ((order, fill, *_),) = decide(account, fills_at, [row(target=NAN, fill=110.0)]).executions
    assert fill is not None
    assert (order.order_id, fill.price_e8) == ("k", 110 * 10**8)


def test_decide_when_there_is_no_fill_price_then_waits_and_expires() -> None:
    """An order that finds no price for three bars ends unfilled and frees its room."""
    rules = rules_of(SYMBOLS, expiry=3)
    outcomes = run(
        rules, [[row()], [row("CCC", 0.0)], [row("BBB", 0.0)], [row(target=0.0)], [row()]]
    )
    assert [len(o.executions) for o in outcomes] == [0, 0, 0, 1, 0]
    order, fill, *_ = outcomes[3].executions[0]
    assert (order.lots, order.bars_waited, fill) == (2, 3, None)
    assert outcomes[4].verdicts[0].lots == 2


def test_decide_when_an_order_is_open_then_sizes_on_position_plus_order() -> None:
    """The second bar asks only for what is not already on its way."""
    outcomes = run(rules_of(SYMBOLS), [[row(target=0.2)], [row(target=0.5)], [row(target=0.5)]])
    assert [o.verdicts[0].lots for o in outcomes] == [2, 3, 0]


def test_decide_when_the_buy_still_waits_then_sells_nothing_that_is_not_held() -> None:
    """An open buy may expire: selling against it could leave a short position behind."""
    rules = rules_of(SYMBOLS, expiry=2)
    bars = [[row()], [row(target=0.0)], [row(target=0.0)], [row(target=0.0, fill=100.0)]]
    account = opened(rules)
    for number, rows in enumerate(bars, start=1):
        outcome = decide(account, number, rows)
        for verdict in outcome.verdicts[1:]:
            assert verdict.lots == 0
    assert account.book.position("AAA").lots == 0
    assert account.reservations.orders == []


def test_decide_when_held_and_ordered_then_sells_only_what_is_held() -> None:
    """Two held and three on their way: a target of zero sells the two."""
    rules = rules_of(SYMBOLS)
    bars = [[row(target=0.2)], [row(target=0.5, fill=100.0)], [row(target=0.0)]]
    verdict = run(rules, bars)[2].verdicts[0]
    assert (verdict.lots, verdict.approved, verdict.allowed_lots) == (-2, True, 2)


def test_decide_when_rows_compete_then_reduces_first_and_falls_in_confidence() -> None:
    """Sells go first, then the surest buy, and equal confidence goes by symbol."""
    rules = rules_of(("A", "B", "C", "D", "E"))
    account = opened(rules)
    decide(account, 1, [row("E", 0.2)])
    rows = [
        row("A", 0.1, sure=0.6),
        row("B", 0.1, sure=0.9),
        row("C", NAN, sure=NAN),
        row("D", 0.1, sure=0.6),
        row("E", 0.0, fill=100.0, sure=0.5),
    ]
    outcome = decide(account, 2, rows)
    assert [v.row.symbol for v in outcome.verdicts] == ["E", "B", "A", "D", "C"]
    assert outcome.verdicts[0].lots == -2


def test_decide_when_nothing_has_a_history_then_only_the_surest_buy_passes() -> None:
    """The first position needs no history; from then on new risk must show how it moves."""
    rules = rules_of(("A", "B", "C", "D"), LIMITS._replace(max_correlation=1.0))
    rows = [row(symbol, 0.2, sure=0.9 - i / 10) for i, symbol in enumerate("ABCD")]
    outcome = run(rules, [rows])[0]
    assert [v.approved for v in outcome.verdicts] == [True, False, False, False]
    codes = [[b.code for b in v.breaches] for v in outcome.verdicts]
    assert codes[1:] == [["CORRELATION_WARMUP"]] * 3


def test_decide_when_leverage_is_used_up_then_refuses_with_the_room_left() -> None:
    """Six lots fill the leverage of 0.6; nine at once break it and the asset's quarter."""
    rules = rules_of(("A", "B", "C"), LIMITS)
    bars = [
        [Row(s, 100.0 * (1 + up * (0.01 if n % 2 else -0.01)), NAN, NAN, NAN) for s, up in moves]
        for n, moves in enumerate([(("A", 1), ("B", -1), ("C", 0))] * 5)
    ]
    bars.append([row("A", 0.25, sure=0.9), row("B", 0.25, sure=0.8), row("C", 0.2, sure=0.7)])
    verdicts = run(rules, bars)[-1].verdicts
    assert [(v.row.symbol, v.lots, v.approved) for v in verdicts] == [
        ("A", 2, True),
        ("B", 2, True),
        ("C", 2, True),
    ]
    refused = run(rules, [*bars[:-1], [row("A", 0.9, sure=0.9)]])[-1].verdicts[0]
    assert (refused.lots, refused.approved, refused.allowed_lots) == (9, False, 2)
    assert [b.code for b in refused.breaches] == ["MAX_ASSET_FRACTION", "MAX_LEVERAGE"]


def test_decide_when_features_warm_up_then_holds_with_a_note() -> None:
    """A target that is no number is HOLD, approved, quantity 0, WARMING_UP."""
    (verdict,) = run(rules_of(SYMBOLS), [[row(target=NAN, sure=NAN)]])[0].verdicts
    assert verdict[1:] == (0, True, 0, (), "WARMING_UP")


def test_decide_when_the_target_is_short_then_goes_flat() -> None:
    """Nothing is sold short: a negative target sells what is held and no more."""
    outcomes = run(rules_of(SYMBOLS), [[row()], [row(target=-0.5, fill=100.0)]])
    assert outcomes[1].verdicts[0].lots == -2
    assert run(rules_of(SYMBOLS), [[row(target=-0.5)]])[0].verdicts[0].lots == 0


def test_decide_when_the_change_is_small_then_holds() -> None:
    """Moving less than the least share of equity is not worth a trade."""
    rules = rules_of(SYMBOLS, LIMITS._replace(min_trade_fraction=0.15))
    outcomes = run(rules, [[row(target=0.1)], [row(target=0.2)]])
    assert [o.verdicts[0].lots for o in outcomes] == [0, 2]


@pytest.mark.parametrize("cash", [0, -100])
def test_decide_when_there_is_no_equity_then_buys_nothing(cash: int) -> None:
    """No buy, no division by zero; what is held can still be sold."""
    rules = rules_of(SYMBOLS)
    account = opened(rules, cash)
    account.book.positions["BBB"] = Position(1, 0, 1)
    account.kept.witness.holds("BBB", 1)
    outcome = decide(account, 1, [row(), Row("BBB", 1e-8, NAN, 0.9, 0.0)])
    assert [(v.row.symbol, v.lots) for v in outcome.verdicts] == [("BBB", -1), ("AAA", 0)]


def test_decide_when_nothing_came_then_nothing_changes() -> None:
    """A boundary without rows, as at a weekend, moves no window, no price and ages no order."""
    rules = rules_of(SYMBOLS)
    account = opened(rules)
    decide(account, 1, [row()])
    window = account.kept.window.copy()
    outcome = decide(account, 2, [])
    assert outcome == Outcome((), ())
    np.testing.assert_array_equal(account.kept.window, window)
    assert account.reservations.orders[0].bars_waited == 0


def test_decide_when_bars_follow_then_remembers_log_returns() -> None:
    """A symbol that misses a bar returns over the gap, and NaN stands where it was absent."""
    rules = rules_of(("AAA", "BBB"))
    account = opened(rules)
    for number, rows in enumerate(
        [
            [Row("AAA", 100.0, NAN, NAN, NAN), Row("BBB", 50.0, NAN, NAN, NAN)],
            [Row("AAA", 110.0, NAN, NAN, NAN)],
            [Row("AAA", 99.0, NAN, NAN, NAN), Row("BBB", 60.0, NAN, NAN, NAN)],
        ],
        start=1,
    ):
        decide(account, number, rows)
    expected = [
        [NAN, NAN, math.log(1.1), math.log(0.9)],
        [NAN, NAN, NAN, math.log(1.2)],
    ]
    np.testing.assert_allclose(account.kept.window, expected)


@given(markets(SYMBOLS), st.integers(1, 3), st.sampled_from([0.0, 25.0]))
def test_decide_when_markets_are_random_then_no_prefix_breaks_a_limit(
    market: list[list[Row]], expiry: int, bps: float
) -> None:
    """An independent fold over what was published finds no limit broken and the same equity."""
    rules = rules_of(SYMBOLS, LIMITS, slippage_bps=bps, fee_bps=bps, expiry=expiry)
    account, published = opened(rules, 100_000), Published()
    for number, rows in enumerate(market, start=1):
        outcome = decide(account, number, rows)
        published.add(number, outcome, account.book)
        assert {v.row.symbol for v in outcome.verdicts} == {r.symbol for r in rows}
        assert all(position.lots >= 0 for position in account.book.positions.values())
        for verdict in outcome.verdicts:
            assert verdict.approved == (not verdict.breaches)
            assert not (verdict.approved and verdict.lots) or (
                abs(verdict.lots) <= verdict.allowed_lots
            )
            assert verdict.approved or verdict.lots > verdict.allowed_lots
    terms = Terms("100000", 0.25, 0.6)
    found = verify(
        published.slots, published.decisions, published.executions, published.snapshots, terms
    )
    assert not any(found[2:])


@given(markets(SYMBOLS), st.randoms(use_true_random=False))
def test_decide_when_repeated_then_gives_the_same_bytes(
    market: list[list[Row]], random: object
) -> None:
    """The same bars give the same verdicts and the same account, bit for bit."""
    del random
    rules = rules_of(SYMBOLS, LIMITS)
    ends = []
    for _ in range(2):
        account, said = opened(rules), []
        for number, rows in enumerate(market, start=1):
            outcome = decide(account, number, rows)
            said.append(repr(outcome))
        ends.append(
            (said, msgspec.to_builtins(account.book.positions), account.kept.window.tobytes())
        )
    assert ends[0] == ends[1]


def test_decide_when_the_target_is_nothing_then_sells_even_a_small_rest() -> None:
    """One lot of 1 in 1000 is below the smallest trade of 1 %, but what is not wanted goes."""
    rules = rules_of(SYMBOLS, LIMITS)
    account = opened(rules)
    account.book.positions["AAA"] = Position(1, MONEY_SCALE, 10**8)
    account.kept.witness.holds("AAA", 1)
    outcome = decide(account, 1, [Row("AAA", 1.0, NAN, 0.6, 0.0)])
    (verdict,) = outcome.verdicts
    assert (verdict.lots, verdict.approved, verdict.allowed_lots) == (-1, True, 1)


@pytest.mark.parametrize(("asked", "lots", "note"), [(0.5, 2, "REDUCED_TO_LIMIT"), (0.2, 2, "")])
def test_decide_when_the_portfolio_reduces_on_breach_then_takes_what_there_is_room_for(
    asked: float, lots: int, note: str
) -> None:
    """Five of 100 are asked in 1000, a quarter is allowed: two, and the reason stays."""
    rules = rules_of(SYMBOLS, LIMITS)._replace(reduces_on_breach=True)
    account = opened(rules)
    (verdict,) = decide(account, 1, [row(target=asked)]).verdicts
    assert (verdict.lots, verdict.approved, verdict.allowed_lots, verdict.note) == (
        lots,
        True,
        2,
        note,
    )
    assert [b.code for b in verdict.breaches] == (["MAX_ASSET_FRACTION"] if note else [])
    assert account.reservations.buying("AAA") == 2


def test_decide_when_nothing_is_allowed_then_is_refused_all_the_same() -> None:
    """There is nothing to reduce to while the account is halted."""
    account = opened(rules_of(SYMBOLS)._replace(reduces_on_breach=True))
    account.kept.switches.throw("global", "", Switch("HALTED", "test", "ann", 0))
    (verdict,) = decide(account, 1, [row()]).verdicts
    assert (verdict.lots, verdict.approved, verdict.note) == (2, False, "")


def test_decide_when_the_venue_is_external_then_neither_fills_nor_expires() -> None:
    """Bars come and go; the order waits for the venue's word."""
    account = opened(rules_of(SYMBOLS, expiry=1)._replace(is_external=True))
    decide(account, 1, [row()])
    for number in (2, 3, 4):
        assert decide(account, number, [row(fill=100.0)]).executions == ()
    assert account.reservations.buying("AAA") == 2
