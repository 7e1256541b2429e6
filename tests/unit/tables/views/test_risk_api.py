"""Questions about the book over HTTP: the answer, and what is refused with which words."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.agents.test_risk import SYMBOLS
from tests.unit.tables.views.answering import Answering
from tests.unit.tables.views.conftest import Asking, Serve

ONE = SYMBOLS[0]
ORDER = {"symbol": ONE, "side": "BUY", "quantity": 10}


async def test_check_when_an_order_passes_then_says_so_and_reserves_nothing(asking: Asking) -> None:
    """Ten of a million at 100: approved, ten held after it, and the book is as it was."""
    status, said, _ = await asking.ask("/risk/check", ORDER)
    assert (status, said["approved"], said["rejection_reasons"]) == (200, True, [])
    assert (said["portfolio"], said["position_after_trade"]) == ("main", 10)
    assert said["limit_utilization"]["max_asset_fraction"] == pytest.approx(1e-3 / 100)
    book, _ = asking.desk.book("main")
    assert book.account.reservations.orders == []


async def test_check_when_a_limit_binds_then_names_it_and_what_would_pass(
    serve: Serve, tmp_path: Path
) -> None:
    """Twenty of a million at 100 are 0.2 %; at most 0.1 % are 10 lots."""
    desk = Answering(tmp_path / "artifacts", max_asset_fraction=0.001)
    desk.log.warm()
    asking = await serve(desk)
    status, said, _ = await asking.ask("/risk/check", ORDER | {"quantity": 20})
    assert (status, said["approved"], said["allowed_quantity"]) == (200, False, 10)
    (reason,) = said["rejection_reasons"]
    assert (reason["code"], reason["limit"]) == ("MAX_ASSET_FRACTION", 0.001)
    assert reason["actual"] == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"quantity": "10"}, "quantity", "BAD_FIELD"),
        ({"quantity": -1}, "quantity", "BAD_FIELD"),
        ({"quantity": 0}, "quantity", "BAD_FIELD"),
        ({"quantity": 1e16}, "quantity", "BAD_FIELD"),
        ({"quantity": 10**40}, "quantity", "BAD_FIELD"),
        ({"quantity": 2.5}, "quantity", "BAD_QUANTITY"),
        ({"quantity": None}, "quantity", "BAD_FIELD"),
        ({"quantity": True}, "quantity", "BAD_FIELD"),
        ({"price": 0}, "price", "BAD_FIELD"),
        ({"price": 1e300}, "price", "BAD_FIELD"),
        ({"side": "HOLD"}, "side", "BAD_FIELD"),
        ({"symbol": "NOBODY"}, "symbol", "UNKNOWN_SYMBOL"),
        ({"symbol": ""}, "symbol", "BAD_FIELD"),
        ({"symbol": "A" * 65}, "symbol", "BAD_FIELD"),
        ({"symbol": "A\n"}, "symbol", "BAD_ID"),
        ({"symbol": 7}, "symbol", "BAD_FIELD"),
        ({"quantitty": 5}, "quantitty", "UNKNOWN_FIELD"),
    ],
)
async def test_check_when_a_field_is_wrong_then_names_field_value_and_what_fits(
    asking: Asking, changes: dict[str, Any], field: str, code: str
) -> None:
    """422 with the field, 404 for what is not there; the book is untouched."""
    before = asking.desk.fold.next_offset
    status, said, answer = await asking.ask("/risk/check", ORDER | changes)
    expected = 404 if code == "UNKNOWN_SYMBOL" else 422
    assert (status, said["status"], said["code"]) == (expected, expected, code)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    (wrong,) = said["errors"]
    assert wrong["field"] == field
    assert wrong["expected"]
    assert asking.desk.fold.next_offset == before


async def test_check_when_a_field_is_missing_then_says_which(asking: Asking) -> None:
    """The name of the field, as it is written in the body."""
    status, said, _ = await asking.ask("/risk/check", {"side": "BUY", "quantity": 1})
    assert (status, said["code"]) == (422, "MISSING_FIELD")
    assert said["errors"] == [{"field": "symbol", "value": None, "expected": "a value"}]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b'{"symbol": NaN}'])
async def test_check_when_the_body_is_no_json_then_is_refused_with_400(
    asking: Asking, data: bytes
) -> None:
    """Before any field is looked at."""
    status, said, _ = await asking.ask("/risk/check", data=data)
    assert (status, said["code"]) == (400, "NOT_JSON")


@pytest.mark.parametrize("data", [b"[]", b"null", b"7", b'"text"', b"[" * 5_000])
async def test_check_when_the_body_is_no_object_then_is_refused_with_422(
    asking: Asking, data: bytes
) -> None:
    """JSON, but not of the right kind."""
    status, said, _ = await asking.ask("/risk/check", data=data)
    assert (status, said["errors"][0]["field"]) == (422, "body")


async def test_portfolio_when_asked_then_is_the_account_with_its_open_orders(
    asking: Asking,
) -> None:
    """Cash of a million; an order that was asked for since the bar is counted."""
    await asking.ask("/api/v1/predict", {"symbol": ONE})
    status, said, _ = await asking.ask("/risk/portfolio")
    assert (status, said["cash"], said["equity"]) == (200, "1000000", "1000000")
    book, _ = asking.desk.book("main")
    opened = sum(order.lots for order in book.account.reservations.orders)
    assert sum(holding["open_quantity"] for holding in said["holdings"]) == opened
    assert said["risk"]["state"] == "ACTIVE"
    assert said["as_of"]["next_offset"] == asking.desk.fold.next_offset


@pytest.mark.parametrize("path", ["/risk/portfolio", "/regime/probabilities"])
async def test_portfolio_when_several_could_be_meant_then_one_must_be_named(
    serve: Serve, tmp_path: Path, path: str
) -> None:
    """The token's only one is the default; another one is none of the caller's business."""
    desk = Answering(tmp_path / "artifacts", ("alpha", "beta"))
    desk.bar(1)
    asking = await serve(desk)
    status, said, _ = await asking.ask(path)
    assert (status, said["code"]) == (422, "MISSING_FIELD")
    assert said["errors"][0]["expected"] == "one of alpha, beta"
    only = {"Authorization": f"Bearer {asking.token('trader', ('beta',))}"}
    status, _, _ = await asking.ask(path, headers=only)
    assert status == 200
    status, said, _ = await asking.ask(f"{path}?portfolio=alpha", headers=only)
    assert (status, said["code"]) == (403, "FORBIDDEN")
    status, said, _ = await asking.ask(f"{path}?portfolio=gamma")
    assert (status, said["code"]) == (404, "UNKNOWN_PORTFOLIO")
