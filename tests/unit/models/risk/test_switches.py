"""Kill switches: the strictest counts, and one scope does not lift another."""

import pytest

from models.risk.switches import Scope, Switch, Switches, SwitchState


def switch(state: SwitchState = "HALTED") -> Switch:
    """Build a thrown switch."""
    return Switch(state, "why", "ann", 5)


@pytest.mark.parametrize(
    ("scope", "name", "applies"),
    [
        ("global", "", True),
        ("portfolio", "", True),
        ("strategy", "model", True),
        ("strategy", "other", False),
        ("symbol", "AAA", True),
        ("symbol", "BBB", False),
    ],
)
def test_switch_when_thrown_then_applies_to_its_scope(
    scope: Scope, name: str, *, applies: bool
) -> None:
    """A strategy's or symbol's switch stops that one only, and a restore ends it."""
    switches = Switches()
    switches.throw(scope, name, switch())
    assert (switches.on("model", "AAA") is not None) is applies
    switches.restore(scope, name)
    assert switches.on("model", "AAA") is None


def test_switches_when_several_apply_then_the_strictest_is_named() -> None:
    """HALTED goes before REDUCING, and the widest before the narrow."""
    switches = Switches()
    switches.throw("global", "", switch("REDUCING"))
    switches.throw("symbol", "AAA", switch("HALTED"))
    switches.throw("strategy", "model", switch("HALTED"))
    found = switches.on("model", "AAA")
    assert found is not None
    assert (found[0], found[1].state) == ("strategy:model", "HALTED")
    other = switches.on("x", "BBB")
    assert other is not None
    assert (other[0], other[1].state) == ("global", "REDUCING")


def test_state_when_only_parts_are_stopped_then_the_account_is_active() -> None:
    """A symbol's switch does not change the state of the account; global and portfolio do."""
    switches = Switches()
    switches.throw("symbol", "AAA", switch())
    assert switches.state() == "ACTIVE"
    switches.throw("portfolio", "", switch("REDUCING"))
    assert switches.state() == "REDUCING"
    switches.throw("global", "", switch())
    assert Switches(switches.thrown).state() == "HALTED"
