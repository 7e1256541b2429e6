"""When a disk counts as full, by a measure that the test holds."""

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tables.stores import disk as module
from tables.stores.disk import Disk, used_fraction


@pytest.mark.parametrize(
    ("used", "full", "refuses"),
    [(0.89, 0.9, False), (0.9, 0.9, True), (0.97, 0.95, True), (1.0, 1.0, False)],
    ids=["inside", "at it", "above another", "never"],
)
def test_refusal_when_measured_then_says_so_from_the_share_on(
    used: float, full: float, *, refuses: bool
) -> None:
    """It says what was found, what was expected and what to do; at 1 nothing is refused."""
    said = Disk(Path("/d"), full, lambda _: used).refusal()
    assert bool(said) is refuses
    if refuses:
        assert said.startswith(f"the disk of /d is {100 * used:.1f}% full; expected less than")
        assert said.endswith("make room on it")


def test_show_when_scraped_then_says_the_share_of_that_moment() -> None:
    """Each scrape measures anew."""
    shares = [0.5, 0.9]
    Disk(Path("/d"), measure=lambda _: shares.pop(0)).show()
    read = [REGISTRY.get_sample_value("tradewind_disk_used_fraction") for _ in range(2)]
    Disk(Path("/")).show()
    assert read == [0.5, 0.9]


def test_used_fraction_when_asked_then_is_what_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3 of 4 blocks that we can fill are 0.75; one more is root's."""

    class Usage:
        used, free, total = 3, 1, 5

    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: Usage if folder else None)
    assert used_fraction(tmp_path) == 0.75
