"""Acts of administrators: written before they happen, chained, and told with their end."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agents.cli.admin_act import admin_act
from streams.timestamps import parse_ns
from tables.stores.admin_log import FILE, AdminLog, AdminLogError, Deed


def acted(home: Path, *whats: str) -> AdminLog:
    """Do something several times."""
    for what in whats:
        with admin_act(home, what, on="main", reason="a test") as outcome:
            outcome.detail = f"{what} done"
    return AdminLog(home)


def test_act_when_done_then_is_listed_with_who_what_why_and_the_end(tmp_path: Path) -> None:
    """In order; the file is its owner's alone."""
    log = acted(tmp_path, "token issue", "risk halt")
    first, second = log.acts()
    assert (first.deed.what, first.deed.on, first.deed.reason) == ("token issue", "main", "a test")
    assert (first.result, first.detail) == ("done", "token issue done")
    assert parse_ns(first.at) <= parse_ns(second.at)
    assert first.deed.by
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_act_when_it_fails_then_the_failure_is_told_and_goes_on(tmp_path: Path) -> None:
    """Who tried what he may not is known; Ctrl-C is an end like others."""
    for error in (ValueError("not allowed"), KeyboardInterrupt()):
        with pytest.raises(type(error)), admin_act(tmp_path, "risk resume", role="trader"):
            raise error
    found = AdminLog(tmp_path).acts()
    assert [(act.result, act.detail) for act in found] == [
        ("failed", "not allowed"),
        ("failed", "KeyboardInterrupt"),
    ]


def test_act_when_killed_then_its_begin_is_there(tmp_path: Path) -> None:
    """A process that dies in the middle leaves what it was about to do."""
    log = AdminLog(tmp_path)
    log.begin(Deed(what="token rotate", by="ann"))
    assert [(act.deed.what, act.result) for act in log.acts()] == [("token rotate", "begun")]


def test_act_when_its_reason_is_very_long_then_is_kept_short_and_the_next_one_goes_on(
    tmp_path: Path,
) -> None:
    """Nobody can make the log unusable, and with it the kill switch, by what he writes there."""
    with admin_act(tmp_path, "token revoke", reason="x" * 70_000):
        pass
    log = acted(tmp_path, "risk halt")
    first, second = log.acts()
    assert (len(first.deed.reason), first.result, second.result) == (1_000, "done", "done")


def test_act_when_a_crash_tore_the_last_line_then_goes_on_behind_the_whole_ones(
    tmp_path: Path,
) -> None:
    """Half a line was never told to anybody; the chain goes on without it."""
    log = acted(tmp_path, "risk halt")
    with log.path.open("ab") as file:
        file.write(b'{"act":"half of')
    log = acted(tmp_path, "risk resume")
    assert [act.deed.what for act in log.acts()] == ["risk halt", "risk resume"]


def test_act_when_it_cannot_be_written_then_is_not_done(tmp_path: Path) -> None:
    """Nothing happens that nobody can read about."""
    (tmp_path / "audit").write_text("a file where a folder belongs")
    done = []
    with pytest.raises(AdminLogError, match="cannot be written"), admin_act(tmp_path, "x"):
        done.append(1)
    assert done == []


def test_log_when_there_is_none_then_is_empty(tmp_path: Path) -> None:
    """A stack to which nobody has done anything."""
    assert AdminLog(tmp_path).acts() == []


@pytest.mark.parametrize(
    ("tamper", "line"),
    [
        (lambda lines: [lines[0].replace(b'"main"', b'"else"'), *lines[1:]], 1),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [*lines, lines[-1]], 5),
        (lambda lines: [*lines[:2], b"{", *lines[2:]], 3),
    ],
    ids=["changed", "taken out", "reordered", "put in", "no line"],
)
def test_log_when_tampered_with_then_says_where(tmp_path: Path, tamper: object, line: int) -> None:
    """Each line follows from all before it."""
    log = acted(tmp_path, "one", "two")
    lines = log.path.read_bytes().splitlines()
    assert callable(tamper)
    log.path.write_bytes(b"\n".join(tamper(lines)) + b"\n")
    with pytest.raises(AdminLogError, match=f"line {line}"):
        log.acts()


def test_log_when_two_write_at_once_then_the_chain_holds(tmp_path: Path) -> None:
    """Commands of two people at the same moment."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: acted(tmp_path, f"act {number}"), range(40)))
    acts = AdminLog(tmp_path).acts()
    assert len(acts) == 40
    assert {act.result for act in acts} == {"done"}
    assert all(
        json.loads(line)["link"] for line in AdminLog(tmp_path).path.read_text().splitlines()
    )
