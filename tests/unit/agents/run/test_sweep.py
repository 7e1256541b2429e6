"""Which configurations a sweep has."""

from pathlib import Path

import pytest

from agents.run.sweep import Configuration, Sweep
from agents.run.terms import Changes, changed, limit_of, limits_of
from streams.epochs import Limits
from streams.errors import SettingsError
from tests.builders import epoch


def test_sweep_when_two_limits_vary_then_has_all_pairs(tmp_path: Path) -> None:
    """Each is a folder and the options that ask for it."""
    found = Sweep.of(["risk.max_leverage=1,2", "risk.var_bars=100,250"], tmp_path)
    assert [each.name for each in found.configurations] == [
        "max_leverage-1_var_bars-100",
        "max_leverage-1_var_bars-250",
        "max_leverage-2_var_bars-100",
        "max_leverage-2_var_bars-250",
    ]
    assert found.configurations[1].arguments() == [
        "--set=risk.max_leverage=1",
        "--set=risk.var_bars=250",
    ]
    assert isinstance(found.configurations[0], Configuration)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("risk.max_levrage=1", "names no limit; expected risk.NAME=VALUE with a name of allow"),
        ("max_leverage=1", "names no limit"),
        ("risk.max_leverage", "names no limit"),
        ("risk.max_leverage=one", "risk.max_leverage was 'one'"),
    ],
)
def test_sweep_when_a_text_is_wrong_then_is_refused(
    text: str, message: str, tmp_path: Path
) -> None:
    """Before anything runs, with the name and the value."""
    with pytest.raises(SettingsError, match=message):
        Sweep.of([text], tmp_path)


def test_sweep_when_it_is_too_large_then_is_refused(tmp_path: Path) -> None:
    """Every configuration is a process."""
    many = "risk.max_leverage=" + ",".join(map(str, range(1, 202)))
    with pytest.raises(SettingsError, match="201 configurations; expected at most 200"):
        Sweep.of([many], tmp_path)


def test_changes_when_given_then_every_portfolio_has_them() -> None:
    """Limits and cash are a person's, the rest is the epoch's."""
    name, values = limit_of("risk.allow_short=true")
    changes = Changes(limits_of({name: values[0], "max_leverage": "1.25"}), "5000")
    found = changed(epoch(), changes, "f" * 64)
    (portfolio,) = found.portfolios
    assert portfolio.limits == Limits(allow_short=True, max_leverage=1.25)
    assert (portfolio.cash, found.models) == ("5000", "f" * 64)
    told = "risk.allow_short=True, risk.max_leverage=1.25, cash=5000"
    assert changes.facts() == [("Changed", told)]
    assert Changes().facts() == []
    assert changed(epoch(), Changes(), None) == epoch()
