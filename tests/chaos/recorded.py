"""A short real run with a bit of everything in it, recorded for the judge.

Bad ticks of every kind, orders and changes by people, a venue that fills in parts, corrects itself
and reports nonsense, orders that expire, and a worker that is killed in the middle, so that records
come again.
"""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

from agents.run.archived import archived, audited
from agents.run.drive import start_archive, start_forensics
from agents.run.stores import database
from models.features.catalogue import NAMES
from streams.epochs import Limits, Portfolio
from streams.partitions import partition_of
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tests.chaos.judge.broker import BrokerSource
from tests.chaos.judge.database import RowSource
from tests.chaos.judge.documents import FolderSource
from tests.chaos.judge.exact import DAY_NS, intent_id, time_text
from tests.chaos.judge.record import Together
from tests.chaos.judge.recording import write
from tests.chaos.judge.trial import TOPICS
from tests.runs import N_PARTITIONS, TAPE, Moment, Trial, trial

_PATIENCE_S = 60.0
_CLOSES = TAPE.closes_ns()
_FIRST, _SECOND = TAPE.symbols[:2]

# What the models want meets one limit of each portfolio that is named after it.
_WIDE: dict[str, Any] = {
    "max_var_fraction": 10.0,
    "max_sector_fraction": 2.0,
    "max_net_fraction": 2.0,
    "max_daily_loss_fraction": 0.5,
}


def _portfolio(name: str, n_symbols: int = 3, **limits: float) -> Portfolio:
    return Portfolio(
        id=name,
        cash="50000",
        universe=TAPE.symbols[:n_symbols],
        sizing="plain",
        limits=Limits(**_WIDE | limits),
    )


PORTFOLIOS = (
    Portfolio(id="main", limits=Limits(**_WIDE | {"max_net_fraction": 0.4})),
    _portfolio("people"),
    _portfolio("asset", max_asset_fraction=0.1),
    _portfolio("sector", max_sector_fraction=0.2),
    _portfolio("leverage", max_leverage=0.2),
    _portfolio("gross", max_gross_fraction=0.2),
    Portfolio(
        id="venue", cash="50000", venue="external", on_breach="reduce", limits=Limits(**_WIDE)
    ),
)


async def _send(run: Trial, topic: str, key: str, said: dict[str, Any] | list[Any] | bytes) -> None:
    value = said if isinstance(said, bytes) else json.dumps(said).encode()
    partition = partition_of(key, N_PARTITIONS)
    await run.producer.send_and_wait(
        run.run.prefix + topic, value, key=key.encode(), partition=partition
    )


def _bad_ticks(bar: int) -> Moment:
    """Send every kind of tick that ends in no bar, and lists with good ones among them."""

    async def act(run: Trial) -> None:
        now_ns = _CLOSES[bar - 1] + 10**8
        good = {"symbol": _FIRST, "ts_event": now_ns, "price": 100.0, "size": 1}
        named = good | {"trade_id": f"t{bar}", "venue": "X"}
        crossed = {"type": "quote", "symbol": _FIRST, "ts_event": now_ns, "bid": 101, "ask": 100}
        late = good | {"ts_event": _CLOSES[bar - 5] - 10**8}
        for said in (
            b"no JSON",
            b"",
            late,
            crossed,
            good | {"symbol": "NOBODY"},
            [good, named, named, good | {"price": -1}, late, crossed],
            [good, {"symbol": _FIRST}],
        ):
            await _send(run, "market-ticks", _FIRST, said)

    return act


def _log(portfolio: str, record: str, **said: Any) -> Moment:  # noqa: ANN401  fields of a record
    """Append a record to the book's log; times are those of the bar before."""

    async def act(run: Trial) -> None:
        await _send(
            run, "portfolio-events", portfolio, {"record": record, "portfolio": portfolio, **said}
        )

    return act


def _change(bar: int, portfolio: str, record: str, **said: Any) -> Moment:  # noqa: ANN401  fields of a record
    who = {"change_id": f"c{bar}", "actor": "a", "role": "admin", "reason": "the judge's run"}
    return _log(portfolio, record, ts_event=_CLOSES[bar - 1], **who, **said)


def _intent(
    bar: int, portfolio: str, side: str, quantity: int, price: float | None = None
) -> Moment:
    return _log(
        portfolio,
        "order_intent",
        ts_event=_CLOSES[bar - 1],
        intent_id=f"i{bar}{side}{quantity}",
        symbol=_SECOND,
        side=side,
        quantity=quantity,
        price=price,
    )


def execution(bar: int, name: str, kind: str, quantity: int, **said: Any) -> Moment:  # noqa: ANN401  fields of a record
    """Report what the venue did with an order that nobody knows: it is booked, because it is so."""

    async def act(run: Trial) -> None:
        report = {
            "record": "venue_execution",
            "portfolio": "venue",
            "ts_event": _CLOSES[bar - 1],
            "execution_id": name,
            "decision_id": "of-a-stranger",
            "symbol": _SECOND,
            "kind": kind,
            "side": "BUY",
            "quantity": quantity,
            "price": 100.25,
            "fee": 0.12345678,
            "currency": "USD",
            "venue": "V",
            **said,
        }
        await _send(run, "venue-executions", "venue", report)

    return act


async def _unreadable_report(run: Trial) -> None:
    """Report what is no JSON."""
    await _send(run, "venue-executions", "venue", b"no JSON")


async def _fill_open(run: Trial) -> None:
    """Fill the open orders of the external portfolio: the first in parts, the others whole."""
    approved = [
        said
        for record in await run.records("trading-decisions")
        if (said := json.loads(record.value))["portfolio"] == "venue"
        and said["approved"]
        and said["quantity"]
    ]
    for n, said in enumerate(approved):
        whole = int(said["quantity"])
        for part, quantity in enumerate((whole // 2, whole - whole // 2) if n == 0 else (whole,)):
            if quantity:
                await execution(
                    280,
                    f"e{n}-{part}",
                    "fill",
                    quantity,
                    decision_id=said["decision_id"],
                    symbol=said["symbol"],
                    side=said["action"],
                    price=said["price"],
                )(run)


def _target(bar: int, portfolio: str, fraction: float, *, is_checked: bool = True) -> Moment:
    """Append what the models might want of a symbol; its decision stands behind the bar's."""

    async def act(run: Trial) -> None:
        await _log(
            portfolio,
            "target_intent",
            ts_event=_CLOSES[bar - 1],
            intent_id=f"t{bar}{portfolio}",
            symbol=_SECOND,
            bar_close=_CLOSES[bar - 1],
            epoch_digest=Epochs(Artifacts(run.run.artifacts)).put(run.run.epoch),
            confidence=0.5625,
            target_fraction=fraction,
            regime=(0.5, 0.25, 0.25, 1.5),
            weights=(0.25, 0.25, 0.5),
            features=[None, *(0.5 for _ in NAMES[1:])],
            is_checked=is_checked,
        )(run)

    return act


def _decided_aside(bar: int, of: int) -> Moment:
    """Append a decision that was made aside, as the one about an earlier target was; and again."""

    async def act(run: Trial) -> None:
        # The clock runs some bars ahead of the worker: what is repeated has to be there.
        await run.decided(_CLOSES[of])
        said = next(
            found
            for record in await run.records("trading-decisions")
            if (found := json.loads(record.value))["intent_id"] == f"t{of}people"
        )
        key, at_ns = f"d{bar}people", _CLOSES[bar - 1]
        day = (at_ns - 1) // DAY_NS
        said |= {"intent_id": key, "decision_id": intent_id("people", key, day)}
        said |= {"timestamp": time_text(at_ns + 1)}
        moment = _log("people", "decided_intent", ts_event=at_ns, intent_id=key, decision=said)
        await moment(run)
        await moment(run)

    return act


async def _killed(run: Trial) -> None:
    """Kill the worker behind a snapshot, with decisions since, and start it again."""
    await run.end(signal.SIGKILL)
    run.start()


def _last_price(bar: int) -> float:
    """Return the last price of the second symbol before a bar."""
    *_, last = TAPE.intervals(_CLOSES[bar - 1], _CLOSES[bar - 1])
    return float(last.ticks[_SECOND][-1].price or 0)


def _shares(bar: int, money: float) -> int:
    return int(money / _last_price(bar))


PLAN: dict[int, tuple[Moment, ...]] = {
    40: (_bad_ticks(40),),
    250: (_intent(250, "people", "SELL", 1),),
    251: (_intent(251, "people", "BUY", _shares(251, 7_500)),),
    252: (
        _intent(252, "people", "BUY", 3),
        _intent(252, "people", "BUY", 5, round(_last_price(252) * 0.93, 2)),
        _intent(252, "people", "BUY", -1),
    ),
    254: (
        _target(254, "people", 0.25),
        _target(254, "asset", 0.5),
        _target(254, "main", 0.05, is_checked=False),
    ),
    258: (_decided_aside(258, of=254),),
    262: (_change(262, "asset", "limit_change", limits={"max_asset_fraction": 0.12}),),
    266: (_killed,),
    268: (
        _change(268, "main", "limit_change", limits={"max_asset_fraction": 0}),
        _change(268, "people", "trading_state", action="reduce"),
    ),
    270: (_bad_ticks(270), _change(270, "people", "trading_state", action="resume")),
    274: (_change(274, "main", "dividend", symbol=_SECOND, amount=0.5),),
    276: (_change(276, "people", "limit_change", limits={"restricted": [_FIRST]}),),
    278: (_change(278, "sector", "split", symbol=_SECOND, new=3, old=2),),
    280: (_fill_open,),
    284: (
        execution(284, "x1", "partial_fill", 7),
        execution(284, "x1", "partial_fill", 7),
        execution(284, "x2", "correction", 5, corrects="x1"),
        execution(284, "x3", "cancel", -1),
        _unreadable_report,
    ),
}


def _together(moments: tuple[Moment, ...]) -> Moment:
    async def act(run: Trial) -> None:
        for moment in moments:
            await moment(run)

    return act


async def record(servers: str, home: Path, models: str, name: str, path: Path) -> None:
    """Play the plan on topics of its own and write everything that was said into a file."""
    async with trial(servers, home, models, name, PORTFOLIOS) as run:
        server = await asyncio.to_thread(database, home, run.children)
        if server is None:
            raise RuntimeError("no PostgreSQL: `make setup` installs the embedded one")
        run.start()
        start_archive(run.run, run.children)
        start_forensics(run.run, run.children)
        await run.feed({bar: _together(moments) for bar, moments in PLAN.items()})
        await archived(run.run, server, patience_s=_PATIENCE_S)
        await audited(run.run, server, patience_s=_PATIENCE_S)
        source = Together(
            BrokerSource(servers, run.run.prefix, TOPICS),
            RowSource(server.url, name),
            FolderSource(run.run.artifacts),
        )
        await asyncio.to_thread(write, source, path)
