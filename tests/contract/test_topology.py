"""The catalogue of topics and the one page of wiring agree with each other."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import faust
import pytest

from agents.disk_watch import DiskWatch
from agents.signals import SPECS
from agents.topology import (
    CHAIN,
    EXPLAIN,
    TRADING_STAGES,
    Place,
    app_id,
    changelogs,
    explain_app,
    prefix_of,
    trading_app,
)
from agents.watchdog import Watchdog
from streams.shown import _SHOWN
from streams.topics import CATALOGUE, MARKET_BARS, MARKET_TICKS, PORTFOLIO_EVENTS, TopicSpec
from tables.stamped import StampedTable
from tables.stores.disk import Disk


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> faust.App:
    """Build the trading app of a run without starting it."""
    root = tmp_path_factory.mktemp("worker")
    return trading_app(
        Place(
            bootstrap_servers="localhost:1",
            run="r1",
            n_partitions=2,
            data=root / "data",
            artifacts=root / "artifacts",
            web_host="127.0.0.1",
            web_port=6066,
            instance="w0",
        )
    )


@pytest.mark.parametrize(("run", "watched"), [("", True), ("r1", False)])
def test_trading_app_when_live_then_the_disk_is_watched(
    tmp_path: Path, run: str, *, watched: bool
) -> None:
    """A replay has the switches of its log: a full disk must not decide otherwise than then."""
    place = Place("localhost:1", run, 2, tmp_path, tmp_path, "127.0.0.1", 6066, "w0")
    app = trading_app(replace(place, disk=Disk(tmp_path)))
    found = [one for one in app._extra_services if isinstance(one, DiskWatch)]
    assert len(found) == watched


def source_of(app: faust.App, stage: str) -> str:
    """Return the one topic that a stage reads, without the run's prefix."""
    (topic,) = app.agents[stage].channel.topics
    assert topic.startswith("r1.")
    return str(topic.removeprefix("r1."))


def written_by(role: str) -> list[TopicSpec]:
    """Return the topics that a role writes."""
    return [spec for spec in CATALOGUE if role in spec.writers.values()]


def test_app_when_built_then_its_watchdog_starts_before_the_recovery(
    app: faust.App, tmp_path: Path
) -> None:
    """Services start behind it: nobody would see a first recovery that never ends."""
    place = Place("localhost:1", "r1", 2, tmp_path, tmp_path, "127.0.0.1", 6066, "w0")
    for each in (app, explain_app(place)):
        assert any(isinstance(child, Watchdog) for child in each._children)


def test_catalogue_when_read_then_each_kind_of_record_has_one_writer() -> None:
    """No two roles write the same kind of record, in any topic."""
    kinds = Counter((spec.name, kind) for spec in CATALOGUE for kind in spec.writers)
    assert set(kinds.values()) == {1}
    assert all(spec.writers for spec in CATALOGUE)
    roles = {role for spec in CATALOGUE for role in spec.writers.values()}
    outside = {
        "user",
        "clock",
        "forensics",
        "learning",
        "rollout",
        "the stage that could not use it",
    }
    outside.add("serving")  # a part of the worker, which is no stage
    assert roles - outside <= {*TRADING_STAGES, *(spec.name for spec in SPECS), EXPLAIN}


def test_catalogue_when_named_then_is_kebab_plural_and_unique() -> None:
    """Topic names are what the contracts promise."""
    names = [spec.name for spec in CATALOGUE]
    assert len(names) == len(set(names))
    assert all(name == name.lower() and name.endswith("s") for name in names)


def test_chain_when_followed_then_each_stage_reads_what_the_stage_before_writes(
    app: faust.App,
) -> None:
    """From the ticks to the book without a gap; stages of a symbol hand on what they publish."""
    assert tuple(app.agents) == TRADING_STAGES
    sources = {
        "bars": MARKET_TICKS.name,
        "signals": MARKET_BARS.name,
        "risk": PORTFOLIO_EVENTS.name,
    }
    assert {stage: source_of(app, stage) for stage in CHAIN} == sources
    published = [
        [spec.name for spec in written_by(stage) if "shadow" not in spec.writers]
        for stage in ("bars", *(spec.name for spec in SPECS))
    ]
    assert published == [
        ["market-bars"],
        ["feature-slices"],
        ["regime-probabilities"],
        ["strategy-weights"],
        ["portfolio-events"],
    ]


def test_chain_when_it_ends_then_risk_writes_all_that_leaves(app: faust.App) -> None:
    """Decisions, executions and accounts come from one stage, and nobody inside reads them."""
    leaving = {spec.name for spec in written_by("risk")}
    assert leaving == {"trading-decisions", "executions", "portfolio-snapshots"}
    assert leaving.isdisjoint(source_of(app, stage) for stage in TRADING_STAGES)


def test_tables_when_owned_then_each_stage_has_one_with_its_changelog(app: faust.App) -> None:
    """One table, one changelog a stage, declared before the worker starts."""
    assert tuple(app.tables) == TRADING_STAGES
    assert all(isinstance(table, StampedTable) for table in app.tables.values())
    owned = [table.changelog_topic.get_topic_name() for table in app.tables.values()]
    assert owned == list(changelogs("r1"))
    assert len(set(owned)) == len(TRADING_STAGES)
    assert {table.partitions for table in app.tables.values()} == {2}


def test_app_when_built_then_runs_as_the_design_says(app: faust.App) -> None:
    """At least once with our transport, no autodiscovery, no tables on the page, crash-only."""
    conf = app.conf
    assert str(conf.broker[0]).startswith("tradewind://")
    assert conf.processing_guarantee.value == "at_least_once"
    assert not conf.autodiscover
    assert not conf.web_tables_enabled
    assert not conf.topic_allow_declare
    assert conf.agent_supervisor.__name__ == "CrashingSupervisor"
    assert conf.producer_acks == -1
    assert app.conf.id == app_id("r1") == "r1.tradewind-trading"


@pytest.mark.parametrize("run", ["r1", ""])
def test_names_when_a_run_has_a_prefix_then_nothing_is_shared(run: str) -> None:
    """Every replay has its own topics, group and changelogs."""
    assert prefix_of(run) == (f"{run}." if run else "")
    assert all(name.startswith(app_id(run)) for name in changelogs(run))
    assert app_id("r1") != app_id("r2") != app_id("")


def test_place_when_asked_for_its_prefix_then_is_the_runs(tmp_path: Path) -> None:
    """The worker's topics are those of its run."""
    place = Place("b", "r9", 1, tmp_path, tmp_path, "127.0.0.1", 6066, "w0")
    assert place.prefix == "r9."


def test_gauges_when_they_are_of_a_stage_then_the_stage_is_there() -> None:
    """Under a name that no stage has, those of a partition that went elsewhere would stay."""
    assert set(_SHOWN) <= set(TRADING_STAGES)
