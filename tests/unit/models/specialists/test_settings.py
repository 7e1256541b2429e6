"""Networks that only score for the controller are trained as those that serve, but fewer."""

from dataclasses import replace

from models.specialists.settings import DEFAULTS, OF_HALVES


def test_settings_when_of_halves_then_differ_in_members_only() -> None:
    """A controller that learned from another kind of network would be served to strangers."""
    assert replace(OF_HALVES, members=DEFAULTS.members) == DEFAULTS
    assert OF_HALVES.members < DEFAULTS.members
