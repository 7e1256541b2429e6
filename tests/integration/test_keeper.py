"""The keeper with real processes: who is killed comes back, who is stopped does not."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from agents.cli.role_part import RolePart
from agents.cli.roles import keeper_of
from agents.run.keeper import PAUSES_S
from agents.run.kept_role import KeptRole
from streams.brokers.ports import free_port
from streams.brokers.waiting import wait_for

PATIENCE_S = 20.0

# As MLflow's command is built: the one that was started waits for the one that listens.
_PARENT = """
import subprocess, sys
port, home = sys.argv[1:]
serve = [sys.executable, "-m", "http.server", "--bind=127.0.0.1", "--directory", home, port]
sys.exit(subprocess.run(serve).returncode)
"""


def role(home: Path, port: int) -> RolePart:
    """Give a role that listens until it is stopped."""
    arguments = ("--bind=127.0.0.1", str(port))
    return RolePart("page", home, arguments, port, module="http.server")


def left(home: Path) -> list[int]:
    """Return the processes that were started by, or for, a home's parts."""
    mine = psutil.Process().children(recursive=True)
    return [child.pid for child in mine if str(home) in " ".join(child.cmdline())]


def anywhere(home: Path) -> list[int]:
    """Return all processes with a home in their arguments, those of nobody included."""
    found = psutil.process_iter(["pid", "cmdline"])
    return [each.pid for each in found if str(home) in " ".join(each.info["cmdline"] or ())]


@pytest.mark.timeout(120)
def test_keeper_when_a_role_is_killed_then_it_is_back_with_its_arguments_and_told(
    tmp_path: Path,
) -> None:
    """The same arguments, another process, a restart in the state; `stop` leaves nothing."""
    page, keeper = role(tmp_path, free_port("127.0.0.1")), keeper_of(tmp_path)
    try:
        first = page.start()
        keeper.start()
        for n_killed in (1, 2):
            killed = page.state().pid
            os.kill(int(str(killed)), signal.SIGKILL)
            assert wait_for(lambda: page.state().restarts == n_killed, timeout_s=PATIENCE_S)  # noqa: B023  asked at once
            page.await_ready()
            assert page.state().pid not in {killed, None}
        now = page.state()
        assert (now.address, now.restarts) == (first.address, 2)
        assert "started again 2 times, last 20" in now.why
        assert "page ended by itself" in (tmp_path / "logs" / "keeper.log").read_text()
    finally:
        stopped = [keeper.stop(), page.stop()]
    assert all(stopped)
    assert wait_for(lambda: not left(tmp_path), timeout_s=PATIENCE_S)
    assert list((tmp_path / "parts").iterdir()) == []


@pytest.mark.timeout(120)
def test_keeper_when_it_is_killed_itself_then_roles_do_not_notice(tmp_path: Path) -> None:
    """The keeper is no parent: what it started outlives it, and the next keeper finds it."""
    page, keeper = role(tmp_path, free_port("127.0.0.1")), keeper_of(tmp_path)
    try:
        page.start()
        keeper.start()
        os.kill(int(str(page.state().pid)), signal.SIGKILL)
        assert wait_for(lambda: page.state().restarts == 1, timeout_s=PATIENCE_S)
        page.await_ready()
        os.kill(int(str(keeper.state().pid)), signal.SIGKILL)
        assert wait_for(lambda: not keeper.state().running, timeout_s=PATIENCE_S)
        assert page.state().running
        assert "nobody keeps it: run `tradewind up`" in keeper.state().why
        keeper.start()
        assert page.state().restarts == 1
    finally:
        keeper.stop()
        page.stop()


@pytest.mark.timeout(120)
def test_keeper_when_a_role_is_killed_then_its_children_end_before_it_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child of the killed one would hold the port, and the new one would fail for ever."""
    (tmp_path / "parent.py").write_text(_PARENT)
    monkeypatch.chdir(tmp_path)
    port = free_port("127.0.0.1")
    page = RolePart("page", tmp_path, (str(port), str(tmp_path)), port, module="parent")
    keeper = keeper_of(tmp_path)
    try:
        first = page.start()
        keeper.start()
        for n_killed in (1, 2):
            os.kill(int(str(page.state().pid)), signal.SIGKILL)
            assert wait_for(lambda: page.state().restarts == n_killed, timeout_s=PATIENCE_S)  # noqa: B023  asked at once
            page.await_ready()
        assert (page.state().address, page.state().running) == (first.address, True)
        os.kill(int(str(keeper.state().pid)), signal.SIGKILL)
        os.kill(int(str(page.state().pid)), signal.SIGKILL)
    finally:
        keeper.stop()
        page.stop()
    assert wait_for(lambda: not anywhere(tmp_path), timeout_s=PATIENCE_S)


def test_state_when_a_role_was_given_up_then_says_what_to_do(tmp_path: Path) -> None:
    """The table names the log and the command, in plain words."""
    kept = KeptRole(tmp_path, "page")
    kept.launch(("this",), restarts=len(PAUSES_S))
    known = kept.started()
    assert known is not None
    known.gave_up = True
    kept.keep(known)
    assert wait_for(lambda: kept.process() is None, timeout_s=PATIENCE_S)
    said = role(tmp_path, 1).state()
    assert (said.running, said.restarts) == (False, len(PAUSES_S))
    assert "given up; started again 10 times" in said.why
    assert "tradewind up" in said.why
