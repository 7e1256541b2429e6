"""The commands about dead letters, on letters that are played."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
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
        self.kept = list(letters)
        self.replayed: list[str] = []
        self.breaks_at = -1

    async def letters(self) -> AsyncIterator[Letter]:
        """Yield all, as a log of several partitions does: in no order of time."""
        for one in reversed(self.kept):
            yield one

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
    mistyped = say("list", "--reason", "LATEE")
    assert mistyped.exit_code == 0
    assert "0 of 0 dead letters shown; by reason: LATE 2, NOT_JSON 1" in mistyped.stdout


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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "given neither ids nor --reason; expected ids as"),
        (("market-ticks:0:1:0", "--reason", "LATE"), "given ids and --reason LATE; expected only"),
        (("x",), "no dead letter 'x' among 3"),
        (("--reason", "LATEE"), "the reason 'LATEE'; reasons that there are: LATE, NOT_JSON"),
    ],
)
def test_replay_when_it_is_not_clear_what_then_sends_nothing_and_says_why(
    log: PlayedLog, words: tuple[str, ...], said: str
) -> None:
    """Neither all by accident nor a guess, and no success that was none."""
    result = say("replay", *words)
    assert (result.exit_code, log.replayed) == (1, [])
    assert said in result.stderr


def test_replay_when_there_is_no_letter_then_its_reason_is_none(log: PlayedLog) -> None:
    """A reason is named that is there, or that none is."""
    log.kept.clear()
    result = say("replay", "--reason", "LATE")
    assert result.exit_code == 1
    assert "none, as there is no dead letter" in result.stderr


@pytest.mark.parametrize("words", [("list",), ("show", "x"), ("replay", "x")])
@pytest.mark.parametrize("run", ["a b", "a.b", "../x", "-x"])
def test_commands_when_no_run_can_be_called_that_then_say_what_is_expected(
    words: tuple[str, ...], run: str
) -> None:
    """Also while no broker runs."""
    result = say(*words, f"--run={run}")
    assert result.exit_code == 1
    assert f"--run was {run!r}; expected letters, digits, - and _" in result.stderr
