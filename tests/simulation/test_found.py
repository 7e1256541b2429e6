"""What the judge has found so far, each as the shortest log that shows it."""

from pathlib import Path

import msgspec

from tests.builders import FREE, MINUTE
from tests.simulation.setting import SYMBOLS
from tests.simulation.shadow import DAY_NS
from tests.simulation.story import Story

ONE = SYMBOLS[0]


def buy(story: Story, intent_id: str, quantity: int) -> None:
    """Ask for a purchase of ONE."""
    story.say("order_intent", intent_id=intent_id, symbol=ONE, side="BUY", quantity=quantity)


def test_correction_when_it_turns_the_side_then_its_parts_have_two_ids(tmp_path: Path) -> None:
    """A purchase that was a sale: both parts sell as many, and a reader must book both."""
    story = Story(tmp_path, {"venue": "external", "limits": FREE}).warm()
    report = {"decision_id": "stranger", "symbol": ONE, "quantity": 10, "price": 100}
    report |= {"currency": "USD", "venue": "X"}
    story.say("venue_execution", execution_id="e1", kind="fill", side="BUY", **report)
    story.say(
        "venue_execution",
        execution_id="e2",
        kind="correction",
        side="SELL",
        corrects="e1",
        **report,
    )
    assert story.judge.shadow.lots[ONE] == -10
    assert len([one for one in story.values if one.startswith("executions")]) == 3


def test_reduced_when_it_equals_the_last_order_then_is_smaller(tmp_path: Path) -> None:
    """An order that is cut to what fits must pass the duplicate check as what it has become."""
    limits = msgspec.structs.replace(FREE, max_order_lots=10, duplicate_window_ms=1_000)
    story = Story(tmp_path, {"limits": limits, "on_breach": "reduce"}).warm()
    for number, expected in enumerate((10, 19, 27)):
        buy(story, f"k{number}", 15)
        assert sum(order.lots for order in story.judge.shadow.orders.values()) == expected


def test_intent_when_its_id_is_forgotten_but_open_then_is_another_order(tmp_path: Path) -> None:
    """An order can outlive the memory of its id; the id neither ends the worker nor hides it."""
    story = Story(tmp_path, {"venue": "external", "limits": FREE}).warm()
    buy(story, "k", 10)
    for _ in range(3):
        story.next_bar({}, DAY_NS // MINUTE)
        story.deliver_all()
    assert story.judge.shadow.ids == {}
    buy(story, "k", 10)
    assert [order.lots for order in story.judge.shadow.orders.values()] == [10, 10]


def test_correction_when_less_had_filled_then_the_rest_is_reserved_again(tmp_path: Path) -> None:
    """Of ten, six and then only four had filled: six are to come, so no more than two fit."""
    limits = msgspec.structs.replace(FREE, max_asset_fraction=0.0012)
    story = Story(tmp_path, {"venue": "external", "limits": limits}).warm()
    buy(story, "k1", 10)
    (order_id,) = story.judge.shadow.orders
    report = {"decision_id": order_id, "symbol": ONE, "side": "BUY", "price": 100}
    report |= {"currency": "USD", "venue": "X"}
    story.say("venue_execution", execution_id="e1", kind="partial_fill", quantity=6, **report)
    story.say(
        "venue_execution", execution_id="e2", kind="correction", quantity=4, corrects="e1", **report
    )
    buy(story, "k2", 3)
    buy(story, "k3", 1)
    assert sum(order.lots for order in story.judge.shadow.orders.values()) == 7
    story.say("venue_execution", execution_id="e3", kind="fill", quantity=6, **report)
    assert story.judge.shadow.switches == {}


def test_execution_when_its_order_is_open_for_days_then_is_known_all_the_while(
    tmp_path: Path,
) -> None:
    """A repetition after three days changes nothing, and a correction still finds it."""
    story = Story(tmp_path, {"venue": "external", "limits": FREE}).warm()
    buy(story, "k", 10)
    (order_id,) = story.judge.shadow.orders
    report = {"decision_id": order_id, "symbol": ONE, "side": "BUY", "price": 100}
    report |= {"currency": "USD", "venue": "X"}
    story.say("venue_execution", execution_id="e1", kind="partial_fill", quantity=4, **report)
    first, meaning = story.log[-1]
    for _ in range(3):
        story.next_bar({}, DAY_NS // MINUTE)
        story.deliver_all()
    story.append(first.value or b"", meaning)
    story.say(
        "venue_execution", execution_id="e2", kind="correction", quantity=3, corrects="e1", **report
    )
    assert story.judge.shadow.lots[ONE] == 3
    assert story.judge.shadow.orders[order_id].lots == 7
