"""Starting, recognising and ending processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streams.brokers.processes import Launch, Process, birth_of, start
from streams.brokers.waiting import wait_for

# Prints its state once the signal is ignored, so that the test does not kill it too early.
_STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
_PARENT = """
import os, sys, threading
from pathlib import Path
from streams.brokers.processes import Launch, start
home = Path(sys.argv[1])
def begin():
    launch = Launch(["/bin/sleep", "60"], home, home / "out", os.environ, tethered=True)
    print(start(launch).pid, flush=True)
thread = threading.Thread(target=begin)
thread.start()
thread.join()
sys.stdin.read()
"""


def _launch(home: Path, *command: str, tethered: bool = True) -> Launch:
    return Launch(command, home, home / "out", os.environ, tethered=tethered)


def test_birth_of_when_the_process_is_a_zombie_then_it_is_none() -> None:
    """A process that has ended counts as gone before it is reaped."""
    with subprocess.Popen(["true"]) as child:
        assert wait_for(lambda: birth_of(child.pid) is None, timeout_s=5.0)


def test_birth_of_when_there_is_no_such_process_then_it_is_none() -> None:
    """Pid numbers end at 2**22 on Linux."""
    assert birth_of(2**22 + 1) is None


@pytest.mark.parametrize("tethered", [True, False])
def test_end_when_the_process_obeys_then_it_is_gone(tmp_path: Path, *, tethered: bool) -> None:
    """SIGTERM is enough for a process that does not handle it."""
    process = start(_launch(tmp_path, "/bin/sleep", "60", tethered=tethered))
    assert process.alive()
    process.end()
    assert not process.alive()
    process.end()


def test_end_when_the_process_ignores_sigterm_then_it_is_killed(tmp_path: Path) -> None:
    """A bounded wait, then SIGKILL."""
    process = start(_launch(tmp_path, "/bin/sh", "-c", _STUBBORN))
    assert wait_for(lambda: (tmp_path / "out").read_text() == "ready\n", timeout_s=5.0)
    process.end(term_s=0.2)
    assert not process.alive()


def test_end_when_the_pid_belongs_to_a_stranger_then_it_is_not_touched(tmp_path: Path) -> None:
    """A reused pid does not cost an innocent process its life."""
    stranger = start(_launch(tmp_path, "/bin/sleep", "60"))
    Process(stranger.pid, "boot/77").end()
    assert stranger.alive()
    stranger.end()


@pytest.mark.parametrize("boot", ["this", "another"])
def test_end_rest_when_a_process_left_a_child_then_is_ended_with_it(
    tmp_path: Path, boot: str
) -> None:
    """A killed server must not hold its port by a child; a number of another boot is anybody's."""
    process = start(_launch(tmp_path, "/bin/sh", "-c", "sleep 60 & echo $!; wait", tethered=False))
    assert wait_for(lambda: (tmp_path / "out").read_text().endswith("\n"), timeout_s=5.0)
    child = int((tmp_path / "out").read_text())
    process.end_rest()
    assert process.alive(), "only what is left of a process that is gone"
    os.kill(process.pid, signal.SIGKILL)
    assert wait_for(lambda: not process.alive(), timeout_s=5.0)
    assert birth_of(child) is not None
    if boot == "another":
        Process(process.pid, "another/1").end_rest()
        assert birth_of(child) is not None
    process.end()
    assert wait_for(lambda: birth_of(child) is None, timeout_s=5.0)


def test_start_when_it_runs_then_the_process_leads_its_own_session(tmp_path: Path) -> None:
    """Ctrl-C in our terminal reaches our session only."""
    process = start(_launch(tmp_path, "/bin/sleep", "60"))
    assert wait_for(lambda: os.getsid(process.pid) == process.pid, timeout_s=5.0)
    assert os.getsid(0) != process.pid
    process.end()


def test_start_when_the_program_is_absent_then_the_caller_sees_the_error(tmp_path: Path) -> None:
    """An error of the starting thread is raised where the start was asked for."""
    with pytest.raises(FileNotFoundError):
        start(_launch(tmp_path, str(tmp_path / "absent"), tethered=False))


def test_start_when_the_parent_is_killed_then_the_tethered_child_dies(tmp_path: Path) -> None:
    """No watching process is needed, and the thread that asked for the start may have ended."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        birth = birth_of(child)
        assert birth is not None
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert wait_for(lambda: not Process(child, birth).alive(), timeout_s=5.0)
