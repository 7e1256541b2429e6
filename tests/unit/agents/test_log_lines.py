"""Lines of a log: what a collector reads has the decision and the offsets as fields."""

import json
import logging
from collections.abc import Iterator

import pytest

from agents.log_lines import JsonLines, log_lines
from streams.dead_letters import Origin
from streams.settings import Settings


def written(message: str, *values: object, **more: object) -> dict[str, object]:
    """Return a line as JSON has it."""
    record = logging.makeLogRecord(
        {"name": "tradewind.risk", "levelname": "ERROR", "msg": message, "args": values, **more}
    )
    record.created = 1_767_571_200.25
    line = JsonLines().format(record)
    assert "\n" not in line
    return dict(json.loads(line))


def test_line_when_it_is_about_a_record_then_has_its_place_as_fields() -> None:
    """Nobody takes a text apart to find an offset."""
    origin = Origin("market-ticks", 1, 77, 2)
    assert written("dead letter %s", origin.id(), **origin.named()) == {
        "time": "2026-01-05T00:00:00.25Z",
        "level": "ERROR",
        "logger": "tradewind.risk",
        "message": "dead letter market-ticks:1:77:2",
        "topic": "market-ticks",
        "partition": 1,
        "offset": 77,
    }


def test_line_when_an_error_came_along_then_stays_one_line() -> None:
    """A stack of calls over many lines would be many records to a collector."""
    error = (ValueError, ValueError("first\nsecond"), None)
    said = written("it failed", exc_info=error, decision_id="d-1")
    assert said["decision_id"] == "d-1"
    assert str(said["error"]).endswith("ValueError: first\nsecond")


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """Give the root logger, and put back what it had."""
    there, ours = logging.getLogger(), logging.getLogger("tradewind")
    kept, level, our_level = list(there.handlers), there.level, ours.level
    yield there
    there.handlers[:] = kept
    there.setLevel(level)
    ours.setLevel(our_level)


@pytest.mark.parametrize(("form", "is_json"), [("json", True), ("text", False)])
def test_lines_when_set_then_have_their_form_and_level(
    root: logging.Logger,
    capsys: pytest.CaptureFixture[str],
    form: str,
    *,
    is_json: bool,
) -> None:
    """Every role takes both settings, the clock and the keeper as well."""
    root.handlers.clear()  # those of pytest, which come behind the fixtures
    log_lines(Settings(log_form=form, log_level="WARNING"))
    logging.getLogger("tradewind.clock").info("not this")
    logging.getLogger("tradewind.clock").warning("this")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("{") == is_json
    assert "this" in line
    assert len(root.handlers) == 1
