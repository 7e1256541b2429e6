"""Processes by pid and birth: start one, see whether it is still the same one, end it for good."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from streams.brokers.waiting import wait_for
from streams.errors import BrokerFailedError

# Field of /proc/<pid>/stat, counted after the command's closing parenthesis (proc_pid_stat(5)).
_STATE_FIELD = 0
_START_TICKS_FIELD = 19
_POLL_S = 0.02
# A clean stop takes about half a second; a laden machine with many open segments takes longer.
_TERM_S = 20.0
# After SIGKILL only the kernel's own work is left.
_KILL_S = 10.0


def birth_of(pid: int) -> str | None:
    """Return what sets this process apart from a later one with its pid; None if it is gone.

    The value names the machine's boot and the tick at which the process started, so it survives
    a reboot and a changed wall clock. A zombie counts as gone.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    if fields[_STATE_FIELD] in {"Z", "X"}:
        return None
    return f"{_boot()}/{fields[_START_TICKS_FIELD]}"


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class Process:
    """A process that leads its own group, known well enough not to hit a stranger.

    ``ask`` is the signal by which it ends in order.
    """

    pid: int
    birth: str
    ask: signal.Signals = signal.SIGTERM

    def alive(self) -> bool:
        """Return whether this very process still runs."""
        return birth_of(self.pid) == self.birth

    def end(self, *, term_s: float = _TERM_S) -> None:
        """Ask the group to end, then kill it; return when it is verified gone."""
        for signal_number, patience_s in ((self.ask, term_s), (signal.SIGKILL, _KILL_S)):
            if not self.alive():
                break
            self._signal_group(signal_number)
            if wait_for(lambda: not self.alive(), timeout_s=patience_s, poll_s=_POLL_S):
                break
        else:
            raise BrokerFailedError(
                f"Process {self.pid} survived SIGKILL for {_KILL_S:g} s: it waits in the kernel,"
                " mostly for a disk. Look at `ps -o stat,wchan` for it."
            )
        self.end_rest()

    def end_rest(self) -> None:
        """Kill what this process, itself gone, has left of its group.

        The kernel gives the number of a group that has members to no new process of this boot.
        """
        if birth_of(self.pid) is None and self.birth.startswith(f"{_boot()}/"):
            self._signal_group(signal.SIGKILL)

    def _signal_group(self, signal_number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, signal_number)
        except ProcessLookupError:
            return


@dataclass(frozen=True)
class Launch:
    """What to start: the command, where it runs, and where its own output goes.

    Parameters
    ----------
    command
        Absolute program and its arguments.
    folder
        Working directory.
    output
        File for standard output and error; emptied first.
    environment
        All variables of the new process.
    inherit
        File descriptors that the new process keeps.
    append
        Whether earlier output stays: the log of a crash outlives the restart.
    tethered
        Whether the process dies with this one, even if this one is killed.
    ask
        The signal by which the process ends in order.
    """

    command: Sequence[str]
    folder: Path
    output: Path
    environment: Mapping[str, str]
    inherit: tuple[int, ...] = ()
    tethered: bool = True
    append: bool = False
    ask: signal.Signals = signal.SIGTERM


def start(launch: Launch) -> Process:
    """Start the process in a session of its own, so that Ctrl-C in our terminal misses it."""
    started: Future[Process] = Future()
    # The kernel tethers a child to the thread that forked it, not to the process: this thread
    # waits as long as the child lives. It also reaps the child, so that no zombie looks alive.
    threading.Thread(
        target=_keep, args=(launch, started), name="broker-keeper", daemon=True
    ).start()
    return started.result()


def _keep(launch: Launch, started: "Future[Process]") -> None:
    try:
        with launch.output.open("ab" if launch.append else "wb") as output:
            child = subprocess.Popen(  # noqa: S603  our own command, as a list
                [*_tether(launch), *launch.command],
                cwd=launch.folder,
                env=dict(launch.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=launch.inherit,
                start_new_session=True,
            )
        started.set_result(Process(child.pid, birth_of(child.pid) or "ended at once", launch.ask))
    except OSError as error:
        started.set_exception(error)
    else:
        child.wait()


def _tether(launch: Launch) -> list[str]:
    if not launch.tethered:
        return []
    script = Path(__file__).with_name("tether.py")
    return [sys.executable, "-I", "-S", str(script), str(os.getpid())]
