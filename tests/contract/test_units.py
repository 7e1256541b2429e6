"""The units of systemd keep their rules, and systemd itself takes them."""

import shutil
from pathlib import Path

import pytest

from tests.systemd_units import EXPOSURE_MOST, UNITS, analysed, is_analysed, unit_faults


def test_units_when_read_then_have_no_fault() -> None:
    """Each role has one, told as its container is, bounded and started again."""
    assert unit_faults() == []


SLIPS = (
    ("web", "--port=8090", "--prt=8090", "No such option"),
    ("web", "--metrics-port=9105", "--metrics-port=1", "does not answer /metrics at 9105"),
    ("web", " --label=live", "", "has other options than its container: --label"),
    ("web", "MemoryMax=512M\n", "", "has no MemoryMax"),
    ("web", "Restart=always", "Restart=no", "restarts ['no']"),
    ("web", "Wants=", "Requires=", "and ends with it"),
    ("web", "Wants=tradewind-prepare.service\n", "", "does not want"),
    ("web", "[Unit]\n", "[Unit]\nStartLimitIntervalSec=600\n", "given up after some restarts"),
    ("web", "After=", "Before=", "does not start after"),
    ("web", "/opt/tradewind/bin/tradewind", "/bin/sh", "starts /bin/sh"),
    (
        "web",
        "[Service]\n",
        "[Service]\nEnvironment=DATABASE_URL=postgresql://a\n",
        "a secret or an",
    ),
    ("prepare", "Type=oneshot", "Type=exec", "expected oneshot"),
)


@pytest.mark.parametrize(("name", "before", "after", "told"), SLIPS, ids=lambda one: one[:30])
def test_units_when_a_rule_is_broken_then_is_told(
    tmp_path: Path, name: str, before: str, after: str, told: str
) -> None:
    """A rule that finds nothing holds nothing."""
    folder = shutil.copytree(UNITS, tmp_path / "units")
    path = folder / f"tradewind-{name}.service"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    assert [fault for fault in unit_faults(folder) if told in fault]


def test_units_when_a_role_has_none_then_is_told(tmp_path: Path) -> None:
    """A role that nobody starts is found before it is missed."""
    folder = shutil.copytree(UNITS, tmp_path / "units")
    (folder / "tradewind-clock.service").unlink()
    target = folder / "tradewind.target"
    target.write_text(target.read_text().replace("tradewind-clock.service", ""))
    assert unit_faults(folder) == [
        "unit clock: there is none",
        "unit clock: the target does not want it",
    ]


@pytest.mark.skipif(not is_analysed(), reason="systemd-analyze is not on PATH: Debian's systemd")
def test_units_when_systemd_is_asked_then_takes_them_and_calls_them_safe() -> None:
    """No line that it does not know, and little that a broken role could reach."""
    said, exposed = analysed()
    assert said == ""
    assert exposed
    assert max(exposed.values()) < EXPOSURE_MOST
