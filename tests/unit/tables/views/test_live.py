"""Decisions as they come: what is resumed, what is left out and said, and who is cut off."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import CookieJar
from aiohttp.test_utils import TestClient, TestServer

from tables.views import live, live_tail
from tables.views.decision_row import DecisionRow, row_of
from tables.views.live import event_text
from tables.views.live_tail import LiveTail, parse_position
from tables.views.pages import About, Pages
from tables.views.run_memory import RunMemory
from tables.views.site import site
from tests.unit.tables.views.played import TOPIC, PlayedLog, decision, decision_id, record
from tests.unit.tables.views.test_entrance import Guarded

_PATIENCE_S = 10.0


def line(number: int, partition: int = 0, **changed: Any) -> DecisionRow:  # noqa: ANN401  fields of a decision
    """Return the line of a decision at an offset of its number."""
    one = decision(number, **changed)
    return row_of(one, record(TOPIC, one, number, partition=partition))


def everything(_row: DecisionRow) -> bool:
    """Want every line."""
    return True


async def taken(reader: live_tail.Reader) -> tuple[list[str], int]:
    """Return the ids of what waits, and how many were left out."""
    rows, n_left_out = await reader.take(0.01)
    return [row.decision_id for row in rows], n_left_out


async def test_reader_when_it_comes_then_it_is_given_what_comes_after() -> None:
    """What the page showed already is not sent again."""
    tail = LiveTail()
    tail.add(line(1))
    reader = tail.open(everything, None)
    assert await taken(reader) == ([], 0)
    tail.add(line(2))
    tail.add(line(3))
    assert await taken(reader) == ([decision_id(2), decision_id(3)], 0)
    assert reader.position == {0: 3}
    tail.close(reader)
    tail.add(line(4))
    assert await taken(reader) == ([], 0)


async def test_reader_when_it_comes_back_then_it_goes_on_where_it_was() -> None:
    """Partition by partition, as far as the tail has it."""
    tail = LiveTail()
    for number, partition in ((1, 0), (2, 0), (3, 1), (4, 1)):
        tail.add(line(number, partition))
    assert tail.position() == "0:2,1:4"
    reader = tail.open(everything, parse_position("0:1,1:3"))
    assert await taken(reader) == ([decision_id(2), decision_id(4)], 0)
    assert reader.position == {0: 2, 1: 4}


async def test_reader_when_the_tail_has_it_no_more_then_it_is_told_how_many() -> None:
    """Offsets 1 to 3 of partition 0 are forgotten; who knew 1 misses 2 and 3."""
    tail = LiveTail(rows_max=2)
    for number in range(1, 6):
        tail.add(line(number))
    reader = tail.open(everything, {0: 1})
    assert await taken(reader) == ([decision_id(4), decision_id(5)], 2)
    reader = tail.open(everything, {0: 3})
    assert await taken(reader) == ([decision_id(4), decision_id(5)], 0)


async def test_reader_when_it_is_slow_then_the_oldest_are_left_out_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory has a bound and nothing vanishes unsaid."""
    monkeypatch.setattr(live_tail, "QUEUE_MAX", 2)
    tail = LiveTail()
    reader = tail.open(everything, None)
    for number in range(1, 6):
        tail.add(line(number))
    assert await taken(reader) == ([decision_id(4), decision_id(5)], 3)
    assert await taken(reader) == ([], 0)


async def test_reader_when_it_wants_some_then_others_wake_nobody() -> None:
    """A filter is one of the server."""
    tail = LiveTail()
    reader = tail.open(lambda row: row.symbol == "XOM", None)
    tail.add(line(1))
    assert not reader._woken.is_set()
    tail.add(line(2, symbol="XOM"))
    assert await taken(reader) == ([decision_id(2)], 0)


@pytest.mark.parametrize("text", ["", "a:1", "0:1,", "0:1;1:2", "0:-1", "0:1" + ",1:2" * 1_024])
def test_position_when_it_is_none_then_it_is_not_guessed(text: str) -> None:
    """A position comes from a browser."""
    assert parse_position(text) is None


async def test_event_when_there_is_nothing_then_it_is_a_sign_of_life() -> None:
    """Else lines with their place, the newest first, and before them what was left out."""
    reader = LiveTail().open(everything, {0: 2})
    assert event_text([], 0, reader) == ": still here\n\n"
    assert event_text([], 7, reader) == "event: left-out\ndata: 7\n\n"
    older = line(1, symbol="OLD", timestamp="2026-01-02T20:00:00Z")
    text = event_text([older, line(2, symbol="NEW")], 1, reader)
    assert text.startswith("event: left-out\ndata: 1\n\nid: 0:2\nevent: decisions\ndata: <tr")
    assert text.index("NEW") < text.index("OLD")
    assert text.endswith("\n\n")
    assert "\n\n" not in text.removeprefix("event: left-out\ndata: 1\n\n").removesuffix("\n\n")


async def test_event_when_a_symbol_holds_html_then_it_is_escaped() -> None:
    """What is put into a page while it is open is escaped as at its start, and is one event."""
    hostile = "<script>\n\nevent: x</script>"
    reader = LiveTail().open(everything, None)
    text = event_text([line(1, symbol=hostile)], 0, reader)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "\nevent: x" not in text


class Stage:
    """A site whose memory can be written to."""

    def __init__(self) -> None:
        self.memory = RunMemory("r1.")
        self.app = site(Pages(About("r1"), self.memory, PlayedLog()), "127.0.0.1")

    def write(self, *numbers: int, **changed: Any) -> None:  # noqa: ANN401  fields of a decision
        """Let decisions come, each at the offset of its number."""
        for number in numbers:
            self.memory.take(record(TOPIC, decision(number, **changed), number))


@pytest.fixture
def stage() -> Stage:
    """Set up a site."""
    return Stage()


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[TestClient[Any, Any]]:
    """Serve it."""
    async with TestClient(TestServer(stage.app)) as opened:
        yield opened


async def read_until(answer: Any, wanted: str) -> str:  # noqa: ANN401  an answer
    """Read a stream until a text has come."""
    text = ""
    async with asyncio.timeout(_PATIENCE_S):
        while wanted not in text:
            text += (await answer.content.readany()).decode()
    return text


async def test_stream_when_a_decision_comes_then_its_line_does(
    stage: Stage, client: TestClient[Any, Any]
) -> None:
    """With the headers of every answer, and gone from the list of readers afterwards."""
    stage.write(1)
    async with client.get("/live?action=BUY") as answer:
        assert answer.content_type == "text/event-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "retry: 3000" in await read_until(answer, "retry")
        stage.write(2, action="SELL")
        stage.write(3)
        text = await read_until(answer, "event: decisions")
        assert decision_id(3)[:8] in text
        assert "SELL" not in text
        assert "id: 0:3" in text
    async with asyncio.timeout(_PATIENCE_S):
        stage.write(4)
        while stage.memory.tail.readers:
            stage.memory.tail.add(line(5))
            await asyncio.sleep(0.05)


async def test_stream_when_a_browser_comes_back_then_its_last_event_counts_more_than_the_page(
    stage: Stage, client: TestClient[Any, Any]
) -> None:
    """The page's own position is older."""
    stage.write(1, 2, 3)
    async with client.get("/live?since=0:1", headers={"Last-Event-ID": "0:2"}) as answer:
        text = await read_until(answer, "event: decisions")
    assert text.count("<tr") == 1
    assert decision_id(3) in text


@pytest.mark.parametrize("query", ["since=yesterday", "action=SING", "nothing=1"])
async def test_stream_when_it_cannot_be_then_it_is_400(
    client: TestClient[Any, Any], query: str
) -> None:
    """A browser does not come back to that by itself."""
    async with client.get(f"/live?{query}") as answer:
        assert answer.status == 400


async def test_stream_when_nothing_comes_then_it_says_that_it_lives(
    client: TestClient[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy does not cut what speaks."""
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.01)
    async with client.get("/live") as answer:
        assert ": still here" in await read_until(answer, "still here")


async def test_stream_when_too_many_follow_then_the_next_is_told_so(
    client: TestClient[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list itself goes on being served."""
    monkeypatch.setattr(live, "READERS_MAX", 1)
    async with client.get("/live") as first:
        await read_until(first, "retry")
        async with client.get("/live") as second:
            assert second.status == 503
        async with client.get("/?live=1") as page:
            assert page.status == 200


async def test_stream_when_the_process_stops_then_readers_are_let_go(stage: Stage) -> None:
    """Ctrl-C does not wait for browsers."""
    async with TestClient(TestServer(stage.app)) as client:
        answer = await client.get("/live")
        await read_until(answer, "retry")
        for hook in stage.app.on_shutdown:
            await hook(stage.app)
        async with asyncio.timeout(_PATIENCE_S):
            await answer.content.read()
    assert not stage.memory.tail.readers


async def test_stream_when_somebody_reads_nothing_then_he_is_cut_off(
    stage: Stage, client: TestClient[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the kernel holds is bounded, and so is our patience."""
    monkeypatch.setattr(live, "SLOW_S", 0.2)
    monkeypatch.setattr(live, "_GATHER_S", 0.0)
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        lazy.setblocking(False)  # noqa: FBT003  its name says it
        address = (client.server.host, client.server.port)
        await asyncio.get_running_loop().sock_connect(lazy, address)
        request = b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(lazy, request)
        async with asyncio.timeout(_PATIENCE_S):
            while not stage.memory.tail.readers:  # noqa: ASYNC110  the server makes no event of it
                await asyncio.sleep(0.01)
            one = line(1)
            while stage.memory.tail.readers:
                for _ in range(100):
                    stage.memory.tail.add(one)
                await asyncio.sleep(0.01)


async def test_stream_when_the_token_is_revoked_then_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that stays open shows no more than one that is opened; a stranger gets none."""
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.01)
    guarded = Guarded(tmp_path)
    jar = CookieJar(unsafe=True)
    async with TestClient(TestServer(guarded.app), cookie_jar=jar) as client:
        guarded.client = client
        async with client.get("/live") as answer:
            assert answer.status == 401
        token, issued = guarded.token(("main",))
        await guarded.sign_in(token)
        async with client.get("/live?since=0:0") as answer:
            await read_until(answer, "still here")
            guarded.keys.revoke(issued.jti, "ops", "left")
            async with asyncio.timeout(_PATIENCE_S):
                rest = await answer.content.read()
    assert b"XOM" not in rest


async def test_list_when_followed_then_it_runs_one_file_and_works_without(
    stage: Stage, client: TestClient[Any, Any]
) -> None:
    """The one page with a script allows that file and nothing inline; others allow none."""
    stage.write(1)
    async with client.get("/?live=1&symbol=A%26B") as answer:
        text = await answer.text()
        policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'; connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert '<script src="/live.js" defer></script>' in text
    assert 'data-live="/live?symbol=A%26B&amp;since=0%3A1"' in text
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in text
    async with client.get("/live.js") as answer:
        assert answer.content_type == "text/javascript"
        assert "innerHTML" not in await answer.text()
    async with client.get("/") as answer:
        assert "<script" not in await answer.text()
