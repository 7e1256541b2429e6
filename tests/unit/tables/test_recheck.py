"""Orders held against the accounts that they led to, whichever comes first."""

import msgspec
import pytest

from streams.records import Decision
from streams.timestamps import format_ns
from tables.recheck import Recheck
from tests.builders import MIDNIGHT, MINUTE
from tests.rollout_worlds import account
from tests.unit.tables.views.played import decision


def order(bar: int = 0, **changed: object) -> Decision:
    """Return an approved purchase of a bar."""
    fields = {"timestamp": format_ns(MIDNIGHT + bar * MINUTE), "symbol": "S0", **changed}
    return msgspec.structs.replace(decision(bar + 1), **fields)


# 0.25 of a million at 187.34 are 1334.4 units.
TOO_MUCH = account(0, open_quantity=1_335, symbols=("S0",))


@pytest.mark.parametrize("is_account_first", [True, False])
def test_orders_when_their_account_is_beyond_a_limit_then_are_named(
    *, is_account_first: bool
) -> None:
    """The models that wanted it are named as well; an account within its limits names nobody."""
    recheck, wanted = Recheck(), order()
    if is_account_first:
        assert recheck.take_snapshot(TOO_MUCH) == []
        (found,) = recheck.take_decision(wanted)
    else:
        assert recheck.take_decision(wanted) == []
        assert not recheck.is_settled
        (found,) = recheck.take_snapshot(TOO_MUCH)
    assert (found.decision_id, found.portfolio) == (wanted.decision_id, "main")
    assert (found.models, found.limits) == (wanted.digests.models, ("MAX_ASSET_FRACTION",))
    assert recheck.is_settled
    assert recheck.take_decision(order(1)) == recheck.take_snapshot(account(1)) == []


def test_orders_when_they_are_for_more_than_they_say_then_need_no_account() -> None:
    """Also those that people send, which lead to no account of their own."""
    recheck = Recheck()
    said = {"quantity": 11, "allowed_quantity": 10}
    for wanted in (order(**said), order(intent_id="a wish", **said)):
        assert [each.limits for each in recheck.take_decision(wanted)] == [("MORE_THAN_ALLOWED",)]
    for nothing in (
        order(approved=False, **said),
        order(action="HOLD", quantity=0),
        order(intent_id="a wish"),
    ):
        assert recheck.take_decision(nothing) == []
    assert recheck.is_settled
    assert recheck.take_snapshot(TOO_MUCH) == []


def test_orders_when_their_account_never_comes_then_are_counted() -> None:
    """The first order that is read may be older than the first account; nothing waits for ever."""
    recheck = Recheck()
    recheck.take_decision(order(0))
    assert recheck.take_snapshot(account(1)) == []
    recheck.take_decision(order(2))
    unsaid = msgspec.structs.replace(account(2), risk=None)
    assert recheck.take_snapshot(unsaid) == []
    assert (recheck.n_unchecked, recheck.is_settled) == (2, True)


def test_accounts_when_decisions_are_read_behind_then_wait_within_a_bound() -> None:
    """A decision lets go what is older; without any the oldest accounts go."""
    recheck = Recheck()
    for bar in range(300):
        recheck.take_snapshot(account(bar, open_quantity=1_335, symbols=("S0",)))
    recheck.take_decision(order(0))
    assert not recheck.is_settled  # its account was let go
    assert len(recheck.take_decision(order(299))) == 1
    recheck.take_snapshot(account(300))
    assert (recheck.n_unchecked, recheck.is_settled) == (1, True)
    for bar in range(301, 601):
        recheck.take_decision(order(bar))
    assert recheck.n_unchecked == 1 + 300 - 256
