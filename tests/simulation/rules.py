"""What can happen in a story, and how often."""

import json
import math
from collections.abc import Callable

from tests.builders import MIDNIGHT, MINUTE
from tests.simulation.judge import PORTFOLIO
from tests.simulation.setting import LOTS, SYMBOLS, Draw
from tests.simulation.shadow import DAY_NS, PRICE
from tests.simulation.story import Story

CHANGE = {"actor": "ann", "role": "admin", "reason": "a story"}
_MS = 1_000_000


def bar(story: Story, draw: Draw) -> None:
    """Move prices; some symbols do not trade, some orders find no price, and targets change."""
    rows = {}
    swing = draw.choice((0.0, 0.002, 0.02, 0.02))
    for symbol in SYMBOLS:
        if draw.random() < 0.1:
            continue
        move = draw.choice((-3, -2, -1, 0, 1, 2, 3)) * swing
        story.prices[symbol] = round(story.prices[symbol] * (1.0 + move), 2)
        close = max(story.prices[symbol], 0.01)
        fill = math.nan if draw.random() < 0.2 else close
        target = draw.choice((math.nan, 0.0, 0.05, 0.1, 0.3, -0.1, 0.001))
        sure = math.nan if math.isnan(target) else draw.choice((0.5, 0.6, 0.9))
        rows[symbol] = (close, fill, sure, target)
    fed = draw.choice(((100, 2), (200, 2), (1, 1))) if draw.random() < 0.03 else (100, 1)
    story.next_bar(rows if draw.random() < 0.95 else {}, draw.choice((1, 1, 1, 2)), fed)
    if draw.random() < 0.8:
        story.deliver_all()


def deliver(story: Story, draw: Draw) -> None:
    """Let one partition run ahead of the other."""
    waiting = [partition for partition, queue in enumerate(story.queues) if queue]
    if waiting:
        story.deliver(draw.choice(waiting))


def at(story: Story, draw: Draw) -> int:
    """Draw a record's time: now, soon, at a border of the windows, late, or from the future."""
    steps_ms = (0, 0, 0, 1, 10, 999, 1_000, 1_001, 20_000, 60_000)
    step_ns = draw.choice(steps_ms) * _MS
    if draw.random() < 0.03:
        return story.now_ns + draw.choice((-4, -2, -1, 1, 400)) * DAY_NS
    story.now_ns += step_ns
    return story.now_ns - draw.choice((0, 0, 0, 5_000)) * _MS


def intent(story: Story, draw: Draw) -> None:
    """Want an order: small, large, or the very quantity that was allowed, or one more."""
    symbol, shadow = draw.choice(SYMBOLS), story.judge.shadow
    side, allowed = story.judge.hint.get(symbol, (1, 0))
    lots = draw.choice((1, 10, 100, 900, 1_000, 1_001, 2_500, 10**6))
    if draw.random() < 0.5 and allowed:
        lots = max(allowed + draw.choice((0, 0, 1, -1)), 1)
    elif draw.random() < 0.4 and shadow.lots[symbol]:
        lots = max(abs(shadow.lots[symbol]) + draw.choice((0, 0, 1, -1)), 1)
        side = -1 if shadow.lots[symbol] > 0 else 1
    elif draw.random() < 0.3:
        side = -side
    price = None
    if draw.random() < 0.3:
        price = round(story.prices[symbol] * draw.choice((1.0, 1.02, 1.1, 0.9, 1.5)), 2)
    said = {
        "intent_id": story.new_id("k"),
        "symbol": symbol,
        "side": "BUY" if side > 0 else "SELL",
        "quantity": lots * float(LOTS[symbol]),
        "strategy": draw.choice(("manual", "model", "swing")),
        "ts_event": at(story, draw),
    }
    if draw.random() < 0.05:
        said |= draw.choice(({"symbol": "NOBODY"}, {"quantity": 0.3}))
    story.say("order_intent", **said, **({} if price is None else {"price": price}))


def twice(story: Story, draw: Draw) -> None:
    """Want the order that was just approved once more, under another id and a moment later."""
    shadow = story.judge.shadow
    if shadow.sent:
        _, strategy, symbol, lots, price_e8 = shadow.sent[-1]
        story.now_ns += draw.choice((0, 1, 999, 1_000, 29_999, 30_000)) * _MS
        said = {"symbol": symbol, "side": _side(lots), "strategy": strategy}
        said |= {"quantity": abs(lots) * float(LOTS[symbol])}
        said |= {"price": price_e8 / PRICE} if price_e8 else {}
        story.say("order_intent", intent_id=story.new_id("k"), **said)


def execution(story: Story, draw: Draw) -> None:
    """Report a fill, a part of one, an end, something unknown, or too much."""
    shadow = story.judge.shadow
    ids = [*shadow.orders] if shadow.orders and draw.random() < 0.93 else ["stranger"]
    if ids == ["stranger"] and draw.random() < 0.7:
        return
    order_id = ids[0] if draw.random() < 0.5 else draw.choice(ids)
    order = shadow.orders.get(order_id)
    symbol = draw.choice(SYMBOLS) if order is None or draw.random() < 0.02 else order.symbol
    left = 7 if order is None else order.lots
    if draw.random() < 0.02:
        left = -left
    size = draw.choice((abs(left), max(abs(left) // 2, 1), 1))
    if draw.random() < 0.02:
        size = abs(left) + 5
    kinds = ("fill", "partial_fill", "partial_fill", "cancel", "expire", "reject")
    said = {
        "execution_id": story.new_id("e"),
        "decision_id": order_id,
        "symbol": symbol,
        "kind": draw.choice(kinds),
        "side": "BUY" if left > 0 else "SELL",
        "quantity": size * float(LOTS[symbol]),
        "price": draw.choice((story.prices[symbol], round(story.prices[symbol] * 1.01, 2))),
        "fee": draw.choice((0, 0.5, -0.25, 1.23)),
        "currency": "EUR" if draw.random() < 0.01 else "USD",
        "venue": "X",
        "ts_event": at(story, draw),
    }
    fills = [one for one, known in shadow.known.items() if known.lots or draw.random() < 0.3]
    if fills and draw.random() < 0.15:
        wrong = draw.choice(fills)
        known = shadow.known[wrong]
        size = draw.choice((0, abs(known.lots), max(abs(known.lots) - 1, 0), 3))
        said |= {
            "kind": "correction",
            "corrects": wrong.removeprefix("execution:"),
            "symbol": known.symbol,
            "side": draw.choice(("BUY", "SELL")) if draw.random() < 0.2 else _side(known.lots),
            "quantity": size * float(LOTS[known.symbol]),
        }
    story.say("venue_execution", **said)


def _side(lots: int) -> str:
    return "BUY" if lots > 0 else "SELL"


def limits(story: Story, draw: Draw) -> None:
    """Change a limit, sometimes one that must not change."""
    key, values = draw.choice(
        (
            ("max_asset_fraction", (0.1, 0.25, 0.4)),
            ("max_sector_fraction", (0.2, 0.5)),
            ("max_leverage", (0.5, 1.5)),
            ("max_net_fraction", (0.4, 1.0)),
            ("max_order_fraction", (0.05, 0.1)),
            ("max_daily_loss_fraction", (0.01, 0.05)),
            ("max_var_fraction", (0.1, 1.0)),
            ("duplicate_window_ms", (0, 1_000)),
            ("restricted", ([], [SYMBOLS[0]])),
            ("allow_short", (True, False)),
            ("var_bars", (30,)),
        )
    )
    change = {"limits": {key: draw.choice(values)}, "change_id": story.new_id("c")}
    story.say("limit_change", **change, **CHANGE, ts_event=at(story, draw))


def switch(story: Story, draw: Draw) -> None:
    """Halt, reduce or resume something."""
    scope = draw.choice(("portfolio", "portfolio", "global", "strategy", "symbol"))
    names = {"strategy": ("model", "swing"), "symbol": (*SYMBOLS, "NOBODY")}
    action = draw.choice(("halt", "reduce", "resume", "resume", "resume"))
    role = "admin" if action == "resume" else draw.choice(("admin", "trader"))
    story.say(
        "trading_state",
        change_id=story.new_id("c"),
        action=action,
        scope=scope,
        name=draw.choice(names[scope]) if scope in names else "",
        **(CHANGE | {"role": role}),
        ts_event=at(story, draw),
    )


def all_clear(story: Story, draw: Draw) -> None:
    """Let everything go on that was stopped."""
    for key in list(story.judge.shadow.switches):
        scope, _, name = key.partition(":")
        said = {"change_id": story.new_id("c"), "action": "resume", "scope": scope, "name": name}
        story.say("trading_state", **said, **CHANGE, ts_event=at(story, draw))


def corporate(story: Story, draw: Draw) -> None:
    """Split, pay a dividend, set weights, or state the book anew."""
    symbol, change = draw.choice(SYMBOLS), {"change_id": story.new_id("c"), **CHANGE}
    kind = draw.choice(("split", "split", "dividend", "dividend", "risk_parity", "book_open"))
    if kind == "split":
        new, old = draw.choice(((2, 1), (3, 2), (1, 2), (7, 5)))
        story.say("split", symbol=symbol, new=new, old=old, **change)
        story.prices[symbol] = max(round(story.prices[symbol] * old / new, 2), 0.01)
    elif kind == "dividend":
        story.say("dividend", symbol=symbol, amount=draw.choice((0.25, 0.01)), **change)
    elif kind == "risk_parity":
        weights = dict(zip(SYMBOLS, (0.4, 0.3, 0.2, 0.1), strict=True))
        story.say("risk_parity", weights=weights, **change)
    else:
        lots = draw.choice((0, 100, -50))
        position = {"symbol": symbol, "quantity": lots * float(LOTS[symbol]), "price": 95.5}
        story.say("book_open", cash="1000000", positions=[position], **change)


def again(story: Story, draw: Draw) -> None:
    """Send an earlier record once more."""
    old, meaning = draw.choice(story.log[-40:])
    story.append(old.value or b"", meaning, (old.key or b"").decode())


def poison(story: Story, draw: Draw) -> None:
    """Send bytes that mean nothing, or a record that nobody may send."""
    resume = {"record": "trading_state", "portfolio": PORTFOLIO, "ts_event": story.now_ns}
    resume |= {"change_id": story.new_id("c")}
    resume |= {"action": "resume", "actor": "eve", "role": "trader", "reason": "no"}
    wrong = (
        b"",
        b"{",
        b"\xff\xfe\x00",
        b'{"record":"order_intent"}',
        b'{"record":"order_intent","portfolio":"main","ts_event":1,"intent_id":"z","symbol":"'
        + SYMBOLS[0].encode()
        + b'","side":"BUY","quantity":"9"}',
        json.dumps(resume).encode(),
    )
    value = draw.choice(wrong)
    story.append(value, None, "other" if draw.random() < 0.1 else PORTFOLIO)


def persist(story: Story, draw: Draw) -> None:
    """Write a snapshot."""
    del draw
    story.persist()


def restart(story: Story, draw: Draw) -> None:
    """Kill the worker."""
    del draw
    story.restart()


def next_day(story: Story, draw: Draw) -> None:
    """Let time pass to the first bars of another day."""
    story.deliver_all()
    days = draw.choice((1, 1, 3))
    into = (story.close_ns - MIDNIGHT) % DAY_NS
    story.next_bar({}, (days * DAY_NS - into) // MINUTE)
    story.deliver_all()
    bar(story, draw)


def forgotten(story: Story, draw: Draw) -> None:
    """Use the id of an early order again; the book may have forgotten it, its order may be open."""
    early = [
        meaning
        for _, meaning in story.log[:40]
        if isinstance(meaning, dict) and meaning["record"] == "order_intent"
    ]
    if early:
        own = draw.choice(early)
        fields = {k: v for k, v in own.items() if k not in {"record", "portfolio", "ts_event"}}
        story.say("order_intent", **fields, ts_event=story.now_ns)


RULES: tuple[tuple[Callable[[Story, Draw], None], int], ...] = (
    (bar, 24),
    (deliver, 6),
    (intent, 34),
    (twice, 3),
    (execution, 16),
    (limits, 2),
    (switch, 2),
    (all_clear, 3),
    (corporate, 2),
    (again, 4),
    (forgotten, 1),
    (poison, 2),
    (persist, 3),
    (restart, 2),
    (next_day, 1),
)
