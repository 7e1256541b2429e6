"""What can go wrong with delivery, from `delivery.toml`."""

import tomllib
from pathlib import Path

import msgspec


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way in which a simpler system loses, repeats or changes something."""

    group: str
    breaks: str
    answer: str
    tests: list[str]


def scenarios() -> list[Scenario]:
    """Return all, in the order of the file."""
    said = tomllib.loads(Path(__file__).with_name("delivery.toml").read_text())
    return msgspec.convert(said["scenario"], list[Scenario])
