"""Results of single trades, by hand: price less mean cost, times what closes, less the fee."""

from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from streams.errors import RecordError
from streams.records import Execution, Holding, PortfolioSnapshot
from tables import trade_results
from tables.trade_results import TradeResults

BARS = ("2026-01-02T21:00:00Z", "2026-01-02T21:01:00Z", "2026-01-02T21:02:00Z")


def account(name: str, at: str, **held: tuple[float, float]) -> PortfolioSnapshot:
    """Return an account of some symbols by quantity and cost."""
    return PortfolioSnapshot(
        timestamp=at,
        portfolio=name,
        currency="USD",
        cash="0",
        equity="0",
        gross="0",
        realised="0",
        fees="0",
        holdings=[
            Holding(
                symbol=symbol,
                quantity=quantity,
                open_quantity=0.0,
                price="1",
                notional="1",
                equity_fraction=0.0,
                cost=str(cost),
            )
            for symbol, (quantity, cost) in held.items()
        ],
    )


def fill(name: str, side: str, quantity: float, price: float, **changed: Any) -> bytes:  # noqa: ANN401  fields of an execution
    """Return a fill of A in the second bar with a fee of 1."""
    fields = {
        "execution_id": f"{name}-{side}-{quantity}-{price}",
        "decision_id": "d",
        "portfolio": name,
        "symbol": "A",
        "kind": "fill",
        "side": side,
        "quantity": quantity,
        "price": price,
        "fee": 1.0,
        "currency": "USD",
        "ts_event": BARS[1],
        "venue": "paper",
    }
    return msgspec.json.encode(msgspec.convert(fields | changed, Execution))


def below(name: str, bound: str = "+Inf") -> float:
    """Return how many trades of a portfolio were measured and earned no more than a bound."""
    of = {"portfolio": name, "le": bound}
    return REGISTRY.get_sample_value("tradewind_trade_result_bucket", of) or 0.0


@pytest.mark.parametrize(
    ("held", "said", "bounds"),
    [
        # 10 units cost 1,000; 4 sold at 103: 4 * (103 - 100) - 1 = 11.
        ((10.0, 1_000.0), ("SELL", 4.0, 103.0), ("10.0", "100.0")),
        # More sold than was held, 10 close and 5 open a short position: -10 - 1 = -11.
        ((10.0, 1_000.0), ("SELL", 15.0, 99.0), ("-100.0", "-10.0")),
        # 10 units short were sold for 1,000; 10 bought back at 90.2: 98 - 1 = 97.
        ((-10.0, -1_000.0), ("BUY", 10.0, 90.2), ("10.0", "100.0")),
        # 10 units short were sold for 1,000; 10 bought back at 89.8: 102 - 1 = 101.
        ((-10.0, -1_000.0), ("BUY", 10.0, 89.8), ("100.0", "1000.0")),
    ],
    ids=["part", "turned", "short", "short more"],
)
def test_fill_when_it_closes_then_is_measured_against_the_mean_cost(
    held: tuple[float, float], said: tuple[str, float, float], bounds: tuple[str, str]
) -> None:
    """The account after the fill's own bar may be read first and is not what it met."""
    name = f"closing-{said}"
    results = TradeResults(since_ms=0)
    results.take_account(account(name, BARS[0], A=held))
    results.take_account(account(name, BARS[1]))
    results.take_account(account(name, BARS[0], A=(1.0, 1.0)))  # sent again by a restarted stage
    for _ in range(2):
        results.take_execution(fill(name, *said), timestamp_ms=5)
    assert [below(name, bound) for bound in (*bounds, "+Inf")] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "changed",
    [
        {"side": "BUY"},
        {"kind": "expire"},
        {"venue_kind": "correction"},
        {"symbol": "B"},
        {"ts_event": BARS[0]},
    ],
    ids=["opens", "ended", "correction", "not held", "older than all accounts"],
)
def test_execution_when_it_closes_nothing_known_then_is_not_measured(
    changed: dict[str, str],
) -> None:
    """What opens a position, ends an order or is taken back has earned nothing."""
    name = "none"
    results = TradeResults(since_ms=0)
    results.take_account(account(name, BARS[0], A=(10.0, 1_000.0)))
    said: dict[str, Any] = {"side": "SELL", "quantity": 1.0, "price": 103.0, **changed}
    results.take_execution(fill(name, **said), timestamp_ms=5)
    assert below(name) == 0.0


def test_execution_when_it_is_from_before_the_process_then_is_left_out() -> None:
    """Who reads the topic again after a restart does not count its trades again."""
    results = TradeResults(since_ms=6)
    results.take_account(account("before", BARS[0], A=(10.0, 1_000.0)))
    results.take_execution(fill("before", "SELL", 1.0, 103.0), timestamp_ms=5)
    assert below("before") == 0.0


def test_execution_when_bytes_are_none_then_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads counts it; ids of earlier fills are forgotten one by one."""
    results = TradeResults(since_ms=0)
    with pytest.raises(RecordError):
        results.take_execution(b"[]", 5)
    monkeypatch.setattr(trade_results, "SEEN_MAX", 1)
    results.take_account(account("few", BARS[0], A=(10.0, 1_000.0)))
    for price in (101.0, 102.0, 101.0):
        results.take_execution(fill("few", "SELL", 1.0, price), timestamp_ms=5)
    assert below("few") == 3.0
