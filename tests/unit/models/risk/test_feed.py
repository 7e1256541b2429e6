"""What could not be used of the input: counted over a minute of event time, and fails closed."""

import pytest

from models.risk.account import Account
from models.risk.decide import Row, decide
from models.risk.feed import Fed, Feed
from models.risk.limits import Order
from models.risk.switches import Switch
from tests.oracles import FREE, account_of

SECOND = 10**9
LIMITED = FREE._replace(max_bad_input_fraction=0.01)


def fed(account: Account, at_s: int, n_in: int, n_bad: int) -> tuple[tuple[str, str], ...]:
    """Decide a bar of no rows for which so many ticks came."""
    return decide(account, at_s * SECOND, [], fed=Fed(n_in, n_bad)).alerts


def test_feed_when_a_minute_has_passed_then_is_forgotten() -> None:
    """The window is open at its far end: what closed 60 seconds ago is out."""
    feed = Feed()
    for at_s in (0, 1, 59, 60):
        feed = feed.take(at_s * SECOND, Fed(10, at_s % 2))
    assert feed.sums() == Fed(30, 2)


def test_feed_when_nothing_came_then_nothing_is_kept() -> None:
    """Quiet nights do not fill the account."""
    assert Feed().take(1, Fed()).bars == ()


@pytest.mark.parametrize(("n_bad", "state"), [(10, "ACTIVE"), (11, "REDUCING")])
def test_input_when_more_than_a_hundredth_is_bad_then_only_reductions_pass(
    n_bad: int, state: str
) -> None:
    """Ten of a thousand are one per cent and not more; spread over bars they count together."""
    account = account_of({"AAA": 1.0}, held={"AAA": 5}, limits=LIMITED)
    assert fed(account, 1, 500, 0) == ()
    alerts = fed(account, 2, 500, n_bad)
    assert account.kept.switches.state() == state
    assert [code for code, _ in alerts] == ([] if state == "ACTIVE" else ["BAD_INPUT"])
    if alerts:
        assert "11 of 1000 ticks" in alerts[0][1]
        assert fed(account, 3, 500, 500) == ()  # said once


def test_input_when_bad_then_the_very_bar_is_decided_reducing() -> None:
    """The bar that is made of rubbish must not buy by it."""
    account = account_of({"AAA": 1.0}, limits=LIMITED)
    row = Row("AAA", 1.0, 1.0, 0.6, 0.1)
    (verdict,) = decide(account, SECOND, [row], fed=Fed(10, 1)).verdicts
    assert [breach.code for breach in verdict.breaches] == ["REDUCE_ONLY"]
    assert account.reducible(Order("AAA", 1)) == 0


def test_input_when_halted_then_stays_halted() -> None:
    """A stricter switch is not loosened."""
    account = account_of({"AAA": 1.0}, limits=LIMITED)
    account.kept.switches.throw("portfolio", "", Switch("HALTED", "why", "ann", 0))
    fed(account, 1, 1, 1)
    assert account.kept.switches.state() == "HALTED"


def test_input_when_the_limit_is_one_then_never_stops() -> None:
    """Who wants to trade on rubbish has to say so."""
    account = account_of({"AAA": 1.0}, limits=FREE)
    assert fed(account, 1, 5, 5) == ()
