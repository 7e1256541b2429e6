"""The commands about what waits on disk, beside a process that works there."""

import asyncio
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from agents.cli import spill as commands
from streams.transport import Outgoing
from tables.stores import spill as store
from tables.stores.segments import PATTERN, Segments
from tables.stores.spill import Spill


def say(*words: str) -> Result:
    """Run the program."""
    app = typer.Typer()
    commands.register(app)
    return CliRunner().invoke(app, ["spill", *words])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of the default stack: one record was sent, three wait."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    where = tmp_path / "default" / "spill" / "web"
    where.parent.mkdir(parents=True)

    async def fill() -> None:
        async def once(_: object) -> None:
            if marked:
                raise ConnectionError
            marked.append(1)

        marked: list[int] = []
        async with Spill(where) as spill:
            await spill.put(Outgoing("t", b"k", b"sent", [], 0))
            keep = Outgoing("t", b"k", b"a", [("n", b"1")], 0)
            await spill.put(keep)
            await spill.put(keep._replace(value=b"\xff", key=None, headers=[]))
            await spill.put(keep._replace(value=b"c"))
            with pytest.raises(ConnectionError):
                await spill.drain(once)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_DRAIN_RECORDS", 1)
        asyncio.run(fill())
    return where


def test_list_when_records_wait_then_counts_them(folder: Path) -> None:
    """Records, bytes and since when; what was sent is not among them."""
    (line,) = say("list", "--json").stdout.splitlines()
    told = json.loads(line)
    assert (told["folder"], told["records"], told["damage"]) == ("web", 3, "")
    assert told["bytes"] == sum(path.stat().st_size for path in folder.glob(PATTERN))
    assert told["oldest"].startswith("20")
    assert "3 records wait in 1 folders." in say("list").stdout


def test_list_when_another_works_there_then_reads_beside_it(folder: Path) -> None:
    """Looking needs no lock and changes nothing."""
    with Segments(folder):
        assert json.loads(say("list", "--json").stdout)["records"] == 3


def test_show_when_asked_then_prints_the_oldest_as_json(folder: Path) -> None:
    """All of a record; bytes that are no text keep their escapes."""
    said = [
        json.loads(line) for line in say("show", folder.name, "--limit", "2").stdout.splitlines()
    ]
    assert [(one["key"], one["value"], one["headers"]) for one in said] == [
        ("k", "a", {"n": "1"}),
        (None, "\\xff", {}),
    ]
    assert {(one["topic"], one["partition"]) for one in said} == {("t", 0)}


def test_show_when_there_is_no_such_folder_then_names_those_that_are(folder: Path) -> None:
    """A slip is told with the way out."""
    said = say("show", "archive")
    assert said.exit_code == 1
    assert f"expected one of {folder.name}" in said.stderr


def test_show_when_a_block_is_damaged_then_prints_what_stands_before_it(folder: Path) -> None:
    """What is whole can be saved before the file is moved away."""
    (path,) = folder.glob(PATTERN)
    data = bytearray(path.read_bytes())
    data[-60] ^= 1
    path.write_bytes(data + data)
    said = say("show", folder.name)
    assert said.exit_code == 1
    assert [json.loads(line)["value"] for line in said.stdout.splitlines()][:1] == ["a"]
    assert "is not what was written" in said.stderr
    assert "is not what was written" in json.loads(say("list", "--json").stdout)["damage"]
