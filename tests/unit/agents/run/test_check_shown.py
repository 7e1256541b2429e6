"""The gauges of the last check of a run."""

from pathlib import Path

from prometheus_client import REGISTRY

from agents.run.check_shown import show_check
from tables.stores.run_checks import RunCheck, keep_check


def test_show_when_a_check_was_made_then_says_when_and_what(tmp_path: Path) -> None:
    """Each outcome has its series, also at 0; without a check nothing is said anew."""
    keep_check(tmp_path, RunCheck(2_500_000_000, 10, 2, 1, "risk: x"), {})
    show_check(tmp_path)
    (tmp_path / "empty").mkdir()
    show_check(tmp_path / "empty")
    name = "tradewind_run_check_records"
    shown = {
        outcome: REGISTRY.get_sample_value(name, {"outcome": outcome})
        for outcome in ("same", "differing", "unchecked")
    }
    assert shown == {"same": 10.0, "differing": 2.0, "unchecked": 1.0}
    assert REGISTRY.get_sample_value("tradewind_run_check_timestamp_seconds") == 2.5
