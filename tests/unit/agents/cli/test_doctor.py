"""The doctor's verdicts, one condition at a time."""

from collections import namedtuple
from pathlib import Path

import pytest

from agents.cli import doctor
from streams.errors import BrokerUnreachableError, ToolMissingError

_Usage = namedtuple("_Usage", ["free"])  # noqa: PYI024  stands in for what the library returns
_Memory = namedtuple("_Memory", ["available"])  # noqa: PYI024  stands in for the library's own


def _raise_missing() -> None:
    raise ToolMissingError("not found")


@pytest.fixture(autouse=True)
def _no_given_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at a machine on which nobody named a broker."""
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)


def test_java_when_absent_and_no_broker_is_given_then_the_demo_cannot_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The remedy names the package."""
    monkeypatch.setattr(doctor, "find_java", _raise_missing)
    finding = doctor.java()
    assert finding.state == "missing"
    assert "openjdk-17-jre-headless" in finding.remedy


def test_java_when_absent_and_a_broker_is_given_then_it_is_optional(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever brings a broker needs no Java."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setattr(doctor, "find_java", _raise_missing)
    assert doctor.java().state == "optional"


@pytest.mark.parametrize(("cached", "state"), [(True, "optional"), (False, "missing")])
def test_maven_when_absent_then_it_is_needed_only_until_the_jars_are_cached(
    monkeypatch: pytest.MonkeyPatch, state: str, *, cached: bool
) -> None:
    """Maven has done its work once the jars are there."""
    monkeypatch.setattr(doctor, "find_maven", _raise_missing)
    monkeypatch.setattr(doctor, "jars_cached", lambda: cached)
    assert doctor.maven().state == state


@pytest.mark.parametrize(("cached", "state"), [(True, "ok"), (False, "optional")])
def test_jars_when_not_cached_then_the_first_start_will_fetch_them(
    monkeypatch: pytest.MonkeyPatch, state: str, *, cached: bool
) -> None:
    """An empty cache is no obstacle."""
    monkeypatch.setattr(doctor, "jars_cached", lambda: cached)
    assert doctor.jars().state == state


def test_kafka_when_the_given_broker_is_away_then_the_demo_cannot_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A named broker is not silently replaced by the embedded one."""

    def away(_servers: str, *, timeout_s: float) -> None:
        raise BrokerUnreachableError(f"nobody within {timeout_s} s")

    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setattr(doctor, "open_given", away)
    assert doctor.kafka().state == "missing"


def test_kafka_when_none_is_given_then_the_embedded_one_is_named() -> None:
    """The table says which provider is used, and why."""
    finding = doctor.kafka()
    assert (finding.state, finding.found) == (
        "ok",
        "embedded: KAFKA_BOOTSTRAP_SERVERS is not set",
    )


@pytest.mark.parametrize(("free_gb", "state"), [(2.0, "ok"), (1.9, "missing")])
def test_disk_when_less_than_two_gigabytes_are_free_then_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_gb: float, state: str
) -> None:
    """The space is looked up where the stacks will lie, even before they exist."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path / "new" / "stacks"))
    monkeypatch.setattr("shutil.disk_usage", lambda _path: _Usage(free_gb * 1024**3))
    finding = doctor.disk()
    assert finding.state == state
    assert str(tmp_path) in finding.found


@pytest.mark.parametrize(("available_gb", "state"), [(2.0, "ok"), (1.9, "missing")])
def test_memory_when_less_than_two_gigabytes_are_available_then_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, available_gb: float, state: str
) -> None:
    """The demo's whole stack is promised to fit into two gigabytes."""
    memory = _Memory(available_gb * 1024**3)
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    assert doctor.memory().state == state


@pytest.mark.parametrize(("version", "state"), [("3.11.7", "ok"), ("3.12.0", "missing")])
def test_python_when_it_is_not_3_11_then_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, version: str, state: str
) -> None:
    """The lock files are made for one minor version."""
    monkeypatch.setattr("platform.python_version", lambda: version)
    assert doctor.python().state == state


def test_extension_when_only_the_python_source_is_there_then_it_is_missing() -> None:
    """A package that fell back to slow code is told from a compiled one."""
    assert doctor._extension("aiokafka", "record/default_records").state == "missing"
    assert doctor.aiokafka_compiled().state == "ok"
    assert doctor.faust_compiled().state == "ok"
    assert doctor.uvloop().state == "ok"


def test_extension_when_the_package_is_absent_then_setup_is_the_remedy() -> None:
    """An absent package does not end the doctor."""
    finding = doctor._extension("no_such_package", "x")
    assert (finding.state, finding.remedy) == ("missing", "make setup")


def test_torch_and_chromium_when_absent_then_both_are_optional(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The demo needs neither training nor a browser."""
    monkeypatch.setattr("importlib.machinery.PathFinder.find_spec", lambda _name: None)
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert doctor.torch().state == "optional"
    assert doctor.chromium().state == "optional"


def test_examine_when_something_is_absent_then_each_line_says_how_to_get_it() -> None:
    """Whatever this machine lacks, no line leaves its reader alone."""
    for finding in doctor.examine():
        assert finding.state in {"ok", "optional", "missing"}
        assert bool(finding.remedy) == (finding.state != "ok")
