"""A run's states as another run's own: whose they are, where they lie, what they say."""

from agents.run.standing import Standing, standings
from agents.signals import SPECS, SignalsKept
from streams.codec import unpack_state
from tables.checkpoint import place

STATES = {
    place("bars", 0): {"open": (70, b"bars 0")},
    place("bars", 1): {"open": (80, b"bars 1")},
    place("risk", 1): {"main": (9, b"account")},
    **{place(spec.name, 0): {"0": (3, spec.name.encode())} for spec in SPECS},
    **{place(spec.name, 1): {} for spec in SPECS},
}


def test_standings_when_a_run_has_two_partitions_then_are_those_of_its_workers() -> None:
    """The states of bars and books as they are, and the four of a chunk in one."""
    found = list(standings(STATES, 2))
    (signals,) = [each for each in found if each.stage == "signals"]
    assert (signals.partition, signals.key) == (0, b"0")
    assert unpack_state(SignalsKept, signals.state) == (
        b"features",
        b"regime",
        b"weights",
        b"prediction",
    )
    assert sorted(each for each in found if each is not signals) == [
        Standing("bars", 0, b"open", b"bars 0"),
        Standing("bars", 1, b"open", b"bars 1"),
        Standing("risk", 1, b"main", b"account"),
    ]


def test_standings_when_a_run_begins_then_there_are_none() -> None:
    """A replay from the first record on takes nothing over."""
    assert list(standings({}, 2)) == []
