"""The commands about dead letters, on letters that are played."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from agents.cli import dead_letters
from agents.cli.letter_log import Letter, Sent
from streams.errors import SettingsError


def letter(number: int, reason: str = "LATE", raw: bytes = b'{"symbol":"AAA"}') -> Letter:
    """Build a letter that was written so many seconds after 1970."""
    name = f"market-ticks:0:{number}:0"
    return Letter(name, number * 1_000, reason, "by 2 s", "bars", "", "market-ticks", b"AAA", raw)


class PlayedLog:
    """Letters, and what was sent again."""

    def __init__(self, *letters: Letter) -> None:
        self.letters = list(letters)
        self.replayed: list[str] = []
        self.breaks_at = -1

    async def read(self) -> list[Letter]:
        """Return all."""
        return self.letters

    async def replay(self, letters: Iterable[Letter], sent: Callable[[Sent], None]) -> None:
        """Note them, as far as the broker goes."""
        for at, one in enumerate(letters):
            if at == self.breaks_at:
                raise SettingsError("the broker has gone")
            self.replayed.append(one.id)
            sent(Sent(one.id, one.topic, 0, 90 + at))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PlayedLog:
    """Give two late ticks and one that is no JSON."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    played = PlayedLog(letter(1), letter(2), letter(3, "NOT_JSON", b"\xff{"))
    monkeypatch.setattr(dead_letters, "_log_of", lambda _stack, _run: played)
    return played


def say(*words: str) -> Result:
    """Run the program."""
    app = typer.Typer()
    dead_letters.register(app)
    return CliRunner().invoke(app, ["dead-letters", *words])


@pytest.mark.usefixtures("log")
def test_list_when_asked_then_shows_the_newest_and_counts_all() -> None:
    """Two of three lines, the latest last; the counts are of all."""
    said = say("list", "--limit", "2").stdout
    assert "2 of 3 dead letters shown; by reason: LATE 2, NOT_JSON 1" in said
    lines = [json.loads(line) for line in say("list", "--limit", "2", "--json").stdout.splitlines()]
    assert [line["id"] for line in lines] == ["market-ticks:0:2:0", "market-ticks:0:3:0"]
    only = say("list", "--reason", "LATE", "--json").stdout.splitlines()
    assert [json.loads(line)["reason"] for line in only] == ["LATE", "LATE"]


@pytest.mark.usefixtures("log")
def test_show_when_it_is_no_text_then_escapes_its_bytes() -> None:
    """What is shown can be read, and says how long it was."""
    said = json.loads(say("show", "market-ticks:0:3:0", "--json").stdout)
    assert (said["raw"], said["n_bytes"], said["key"]) == ("\\xff{", 2, "AAA")
    assert "by 2 s" in say("show", "market-ticks:0:1:0").stdout


@pytest.mark.usefixtures("log")
def test_show_when_there_is_none_then_says_where_ids_are() -> None:
    """A mistyped id names itself and the way on."""
    result = say("show", "market-ticks:0:9:0")
    assert result.exit_code == 1
    assert "market-ticks:0:9:0" in result.stderr
    assert "dead-letters list" in result.stderr


def test_replay_when_by_reason_then_sends_those(log: PlayedLog) -> None:
    """All late ones, and where they stand now."""
    said = say("replay", "--reason", "LATE").stdout
    assert log.replayed == ["market-ticks:0:1:0", "market-ticks:0:2:0"]
    assert "stands in market-ticks:0:91 now" in said
    assert "2 records sent again" in said


def test_replay_when_it_was_sent_before_then_is_left_out_unless_asked_for(log: PlayedLog) -> None:
    """Also what went before the broker did: the rest follows, and nothing twice."""
    log.breaks_at = 1
    assert say("replay", "--reason", "LATE").exit_code == 1
    log.breaks_at = -1
    said = say("replay", "--reason", "LATE").stdout
    assert "1 records sent again, 1 were before and are left out" in said
    assert log.replayed == ["market-ticks:0:1:0", "market-ticks:0:2:0"]
    assert "0 records sent again, 2 were" in say("replay", "--reason", "LATE").stdout
    say("replay", "market-ticks:0:2:0", "--again")
    assert log.replayed[2:] == ["market-ticks:0:2:0"]


@pytest.mark.parametrize("words", [(), ("market-ticks:0:1:0", "--reason", "LATE"), ("x",)])
def test_replay_when_it_is_not_clear_what_then_sends_nothing(
    log: PlayedLog, words: tuple[str, ...]
) -> None:
    """Neither all by accident nor a guess."""
    assert say("replay", *words).exit_code == 1
    assert log.replayed == []
