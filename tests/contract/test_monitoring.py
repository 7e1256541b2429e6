"""What alerts ask for is measured, and what the documents say of them is so."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.alerts import DOCKER, rules_of
from tests.boards import program
from tests.evidence.quiet_days import QuietDays
from tests.metric_names import declared, named

DOCS = Path(__file__).parents[2] / "docs"
_ROW = re.compile(r"^\| \[(\w+)\]\(\.\./docker/runbooks/\w+\.md\) \| `(\w+)` \|", re.MULTILINE)


def test_alerts_when_read_then_ask_for_metrics_that_exist() -> None:
    """A renamed metric would silence its alert."""
    asked = {name: named(rule["expr"]) for name, rule in rules_of().items()}
    assert all(asked.values())
    assert {
        name: metrics - declared() for name, metrics in asked.items() if metrics - declared()
    } == {}


def test_quiet_days_when_made_then_have_a_series_of_all_that_alerts_ask_for() -> None:
    """A rule without one cannot fire, and would count as one that does not."""
    known = {series.name for series in QuietDays(2, 0).series()}
    assert {name for rule in rules_of().values() for name in named(rule["expr"])} <= known


def test_names_when_found_in_a_query_then_are_all_of_them() -> None:
    """Labels, functions and numbers are no metrics."""
    query = 'sum by (stack) (rate(tradewind_a_total{job="up"}[5m])) / up > 1 or process_b'
    assert named(query) == {"tradewind_a_total", "up", "process_b"}


def test_alerts_when_listed_in_the_runbook_then_are_all_there() -> None:
    """Who is on call sees every alert with its severity on one page."""
    listed = dict(_ROW.findall((DOCS / "MONITORING_RUNBOOK.md").read_text()))
    assert listed == {name: rule["labels"]["severity"] for name, rule in rules_of().items()}


def test_anchors_when_named_in_runbooks_then_exist() -> None:
    """A link to a chapter finds it."""
    heads = re.findall(r"^## (.+)$", (DOCS / "INFRASTRUCTURE_RUNBOOK.md").read_text(), re.MULTILINE)
    anchors = {head.lower().replace(" ", "-") for head in heads}
    asked = {
        anchor
        for page in (DOCKER / "runbooks").glob("*.md")
        for anchor in re.findall(r"INFRASTRUCTURE_RUNBOOK\.md#([\w-]+)", page.read_text())
    }
    assert asked
    assert asked <= anchors


BOARDS = sorted((DOCKER / "grafana" / "dashboards").glob("*.json"))


def panels(board: Path) -> list[dict[str, Any]]:
    """Return the panels of a dashboard that ask something."""
    return [one for one in json.loads(board.read_text())["panels"] if one["type"] != "row"]


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.stem)
def test_dashboards_when_read_then_ask_for_metrics_that_exist(board: Path) -> None:
    """A panel that can never show anything is not there."""
    asked = {
        panel["title"]: set().union(*(named(one["expr"]) for one in panel["targets"]))
        for panel in panels(board)
    }
    assert asked
    assert all(asked.values())
    assert {title: names - declared() for title, names in asked.items() if names - declared()} == {}


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.stem)
def test_dashboards_when_laid_out_then_nothing_lies_on_another(board: Path) -> None:
    """Ids and places are each panel's own, within the 24 columns of the grid."""
    every = json.loads(board.read_text())["panels"]
    places = [panel["gridPos"] for panel in every]
    assert len({panel["id"] for panel in every}) == len(every)
    assert len({(place["x"], place["y"]) for place in places}) == len(every)
    assert all(place["x"] + place["w"] <= 24 for place in places)


@pytest.mark.parametrize(
    ("board", "shown"),
    [
        (
            "training",
            {
                "tradewind_training_episode_return_fraction",
                "tradewind_training_episode_sharpe",
                "tradewind_training_win_fraction",
                "tradewind_training_episode_length_bars",
            },
        ),
        (
            "system",
            {
                "process_cpu_seconds_total",
                "process_resident_memory_bytes",
                "tradewind_feature_cache_reads_total",
                "tradewind_training_episodes_per_hour",
            },
        ),
        (
            "decisions",
            {
                "tradewind_decisions_total",
                "tradewind_portfolio_equity",
                "tradewind_trade_result_bucket",
            },
        ),
        (
            "rollout",
            {
                "tradewind_rollout_loss_nats",
                "tradewind_rollout_earned_fraction",
                "tradewind_rollout_p95_seconds",
                "tradewind_rollout_decisions",
                "tradewind_rollout_target_correlation",
            },
        ),
    ],
)
def test_dashboard_when_read_then_shows_what_was_asked_for(board: str, shown: set[str]) -> None:
    """Who looks for one of these finds it on the page of that name."""
    path = DOCKER / "grafana" / "dashboards" / f"tradewind-{board}.json"
    asked = [one["expr"] for panel in panels(path) for one in panel["targets"]]
    assert shown <= set().union(*map(named, asked))


def test_dashboards_when_generated_then_are_the_committed_ones() -> None:
    """Who edits the JSON by hand is told; the program is what is edited."""
    boards = program()
    made = {f"{board.uid}.json": boards.rendered(board) for board in boards.BOARDS}
    assert made == {path.name: path.read_text() for path in BOARDS}
