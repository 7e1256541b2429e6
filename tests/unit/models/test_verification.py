"""The second fold finds what is planted, and nothing else."""

from typing import Any

import pytest

from models.verification import (
    Findings,
    SeenAccount,
    SeenDecision,
    SeenExecution,
    SeenHolding,
    SeenSnapshot,
    Terms,
    broken_limits,
    verify,
)

TERMS = Terms("1000", 0.25, 0.5)


def decision(close_ns: int = 1, symbol: str = "AAA", **changes: Any) -> SeenDecision:  # noqa: ANN401  any field
    """Build an approved buy of two lots at 100."""
    fields: dict[str, Any] = {
        "close_ns": close_ns,
        "symbol": symbol,
        "decision_id": f"{symbol}@{close_ns}",
        "value_hash": b"h",
        "action": "BUY",
        "quantity": 2,
        "approved": True,
        "price": 100.0,
    }
    return SeenDecision(**(fields | changes))


def execution(close_ns: int = 2, of: str = "AAA@1", **changes: Any) -> SeenExecution:  # noqa: ANN401  any field
    """Build the fill of that buy at 110, with a fee of 1."""
    fields: dict[str, Any] = {
        "close_ns": close_ns,
        "execution_id": f"{of}>{close_ns}",
        "decision_id": of,
        "symbol": of.split("@", maxsplit=1)[0],
        "kind": "fill",
        "side": "BUY",
        "quantity": 2,
        "price": 110.0,
        "fee": 1.0,
    }
    return SeenExecution(**(fields | changes))


HOLD = decision(2, action="HOLD", quantity=0, price=120.0)

# Bar 1: a buy, equity 1000. Bar 2: filled at 110 with a fee of 1, marked at 120: 1000 - 221 + 240.
STORY = [decision(), HOLD]
EQUITIES = [SeenSnapshot(1, "1000"), SeenSnapshot(2, "1019")]


def found(
    decisions: list[SeenDecision],
    executions: list[SeenExecution] | None = None,
    snapshots: list[SeenSnapshot] | None = None,
) -> Findings:
    """Verify the story with something changed."""
    return verify(
        {(1, "AAA"), (2, "AAA")},
        decisions,
        [execution()] if executions is None else executions,
        EQUITIES if snapshots is None else snapshots,
        TERMS,
    )


def test_verify_when_all_is_right_then_holds() -> None:
    """Two slots, two decisions, one fill, equity to the last digit."""
    findings = found(STORY)
    assert findings == Findings(2, 0, 0, 0, 0, 0, 0, 0)
    assert findings.holds()


def test_verify_when_nothing_came_then_does_not_hold() -> None:
    """Nothing checked is nothing proved."""
    assert not verify(set(), [], [], [], TERMS).holds()


def test_verify_when_events_are_repeated_then_counts_them_once() -> None:
    """At least once is no defect; the same id with other bytes is one."""
    again = [one._replace() for one in STORY]
    assert found([*STORY, *again], [execution(), execution()]) == Findings(2, 2, 0, 0, 0, 0, 0, 0)
    assert found([*STORY, decision(value_hash=b"other")]).conflicting_ids == 1


def test_verify_when_slots_are_missing_or_surplus_then_counts_both() -> None:
    """Every row of a closed bar has exactly one decision."""
    assert found([decision()], snapshots=EQUITIES).missing_slots == 1
    assert found([*STORY, decision(1, "BBB", quantity=0, action="HOLD")]).surplus_slots == 1
    assert found([*STORY, HOLD._replace(decision_id="second")]).surplus_slots == 1


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"quantity": 2}, 0),
        ({"quantity": 3}, 1),
        ({"quantity": 3, "approved": False}, 0),
        ({"action": "SELL", "quantity": 1}, 1),
    ],
)
def test_verify_when_an_order_breaks_a_limit_then_counts_it(
    change: dict[str, Any], broken: int
) -> None:
    """A quarter of 1000 is two lots of 100; what is not held cannot be sold."""
    assert found([decision(**change), HOLD], []).limits_broken == broken


def test_verify_when_open_orders_fill_the_leverage_then_counts_the_next() -> None:
    """Each order keeps its own limit, together they exceed half the equity."""
    three = [decision(1, symbol, price=100.0) for symbol in ("AAA", "BBB")]
    terms = TERMS._replace(max_leverage=0.3)
    account = verify({(1, "AAA"), (1, "BBB")}, three, [], [SeenSnapshot(1, "1000")], terms)
    assert account.limits_broken == 1


def test_verify_when_equity_is_off_by_the_last_digit_then_counts_the_bar() -> None:
    """A snapshot that is missing or wrong by 1e-16 is a defect."""
    wrong = [EQUITIES[0], SeenSnapshot(2, "1019.0000000000000001")]
    assert found(STORY, snapshots=wrong).equity_differs == 1
    assert found(STORY, snapshots=EQUITIES[:1]).equity_differs == 1


def test_verify_when_an_execution_has_no_order_then_counts_it() -> None:
    """A fill of an unknown order, or of another quantity, is no fill of ours."""
    assert found(STORY, [execution(of="AAA@9")]).orders_unknown == 1
    assert found(STORY, [execution(quantity=1)]).orders_unknown == 1


def test_verify_when_an_order_expires_then_nothing_was_traded() -> None:
    """The account keeps its cash, and the order's room is free again."""
    expired = execution(kind="expire", price=0.0, fee=0.0)
    again = decision(3, price=100.0)
    findings = verify(
        {(1, "AAA"), (2, "AAA"), (3, "AAA")},
        [*STORY, again],
        [expired],
        [SeenSnapshot(n, "1000") for n in (1, 2, 3)],
        TERMS,
    )
    assert findings == Findings(3, 0, 0, 0, 0, 0, 0, 0)


def test_verify_when_quantities_have_decimals_then_counts_exactly() -> None:
    """A tenth of a unit bought and sold at one price leaves cash where it was, but for the fee."""
    story = [
        decision(1, "BBB", price=10.0, quantity=0.1),
        decision(2, "BBB", price=10.0, quantity=0.1, action="SELL"),
        decision(3, "BBB", price=10.0, action="HOLD", quantity=0),
    ]
    fills = [
        execution(2, "BBB@1", price=10.0, fee=0.0, quantity=0.1),
        execution(3, "BBB@2", price=10.0, fee=0.5, side="SELL", quantity=0.1),
    ]
    equities = [SeenSnapshot(1, "1000"), SeenSnapshot(2, "1000"), SeenSnapshot(3, "999.5")]
    slots = {(n, "BBB") for n in (1, 2, 3)}
    assert verify(slots, story, fills, equities, TERMS) == Findings(3, 0, 0, 0, 0, 0, 0, 0)


def test_verify_when_a_sector_is_too_large_then_counts_it() -> None:
    """Two buys of a fifth each: together above 0.3, unless they are of two sectors."""
    story = [decision(1, "AAA", price=100.0), decision(1, "BBB", price=100.0)]
    for sectors, n_broken in (({"AAA": "x", "BBB": "x"}, 1), ({"AAA": "x", "BBB": "y"}, 0)):
        terms = TERMS._replace(max_sector_fraction=0.3, sectors=sectors)
        slots = {(1, "AAA"), (1, "BBB")}
        assert verify(slots, story, [], EQUITIES[:1], terms).limits_broken == n_broken


def test_verify_when_an_intent_was_decided_then_it_fills_no_slot() -> None:
    """A person's order between bars is no surplus, has no account of its own, and is an order."""
    wanted = decision(1, "BBB", decision_id="intent", is_slot=False, price=100.0)._replace(
        close_ns=1
    )
    bought = execution(2, of="intent", symbol="BBB", price=100.0, fee=0.0)
    story = [decision(1, action="HOLD", quantity=0), wanted._replace(close_ns=1), HOLD]
    found_ = verify(
        {(1, "AAA"), (2, "AAA")},
        story,
        [bought],
        [SeenSnapshot(1, "1000"), SeenSnapshot(2, "1000")],
        TERMS,
    )
    assert found_ == Findings(3, 0, 0, 0, 0, 0, 0, 0)
    between = [*story[:1], wanted._replace(close_ns=-1), HOLD]
    assert verify({(1, "AAA"), (2, "AAA")}, between, [], EQUITIES[:1], TERMS).surplus_slots == 0


# Of an equity of 1000, at a price of 100: at most 2.5 of one symbol, 4 of a sector, 5 of all.
LIMITS = {
    "max_asset_fraction": 0.25, "max_sector_fraction": 0.4, "max_leverage": 0.5,
    "max_gross_fraction": 0.5, "allow_short": False,
}  # fmt: skip


def account(*held: tuple[str, float, float], **changes: Any) -> SeenAccount:  # noqa: ANN401  any limit
    """Build an account of what is held and what is open; AAA and BBB share a sector."""
    holdings = tuple(
        SeenHolding(symbol, quantity, opened, "100", "one" if symbol < "C" else "two")
        for symbol, quantity, opened in held
    )
    day_open = str(changes.pop("day_open", 1000))
    return SeenAccount("1000", day_open, holdings, {**LIMITS, **changes})


@pytest.mark.parametrize(
    ("given", "order", "expected"),
    [
        (account(("AAA", 1, 1.5)), ("AAA", "BUY"), ()),
        (account(("AAA", 1, 1.50000001)), ("AAA", "BUY"), ("MAX_ASSET_FRACTION",)),
        (account(("AAA", 2, 0.5), ("BBB", 1.5, 0)), ("AAA", "BUY"), ()),
        (account(("AAA", 2, 0.5), ("BBB", 1.6, 0)), ("AAA", "BUY"), ("MAX_SECTOR_FRACTION",)),
        (account(("AAA", 2, 0.5), ("CCC", 2.5, 0)), ("AAA", "BUY"), ()),
        (
            account(("AAA", 2, 0.5), ("CCC", 2.6, 0)),
            ("AAA", "BUY"),
            ("MAX_LEVERAGE", "MAX_GROSS_FRACTION"),
        ),
        (account(("AAA", 2, 0.5), day_open=400), ("AAA", "BUY"), ("MAX_GROSS_FRACTION",)),
        # What nobody bought in this bar may be beyond: a price moved it.
        (account(("AAA", 9, -1)), ("AAA", "SELL"), ()),
        (account(("AAA", 9, 0), ("CCC", 0.1, 0.1), max_leverage=10, max_gross_fraction=10),
         ("CCC", "BUY"), ()),
        (account(("AAA", 1, -1)), ("AAA", "SELL"), ()),
        (account(("AAA", 1, -1.1)), ("AAA", "SELL"), ("SHORT_SALE",)),
        (account(("AAA", 1, -1.1), allow_short=True), ("AAA", "SELL"), ()),
        (account(("AAA", -1, -1.6), allow_short=True), ("AAA", "SELL"), ("MAX_ASSET_FRACTION",)),
        (account(("AAA", -9, 1), allow_short=True), ("AAA", "BUY"), ()),
        (account(), ("AAA", "BUY"), ()),
    ],
)  # fmt: skip
def test_broken_limits_when_an_order_was_approved_then_names_those_that_it_widened(
    given: SeenAccount, order: tuple[str, str], expected: tuple[str, ...]
) -> None:
    """To the last digit: 0.25 of 1000 at 100 are 2.5, and one unit more is a breach."""
    assert broken_limits(given, *order) == expected


def test_broken_limits_when_there_is_no_equity_then_nothing_may_be_bought() -> None:
    """A share of less than nothing is nothing."""
    poor = account(("AAA", 0, 0.01))._replace(equity="-5")
    assert broken_limits(poor, "AAA", "BUY") == (
        "MAX_ASSET_FRACTION", "MAX_SECTOR_FRACTION", "MAX_LEVERAGE",
    )  # fmt: skip
