"""The wrapper that ties a program's life to its parent's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.brokers import tether

_SCRIPT = Path(tether.__file__)


def test_main_when_the_parent_is_another_then_the_program_does_not_start() -> None:
    """If the parent died before the tether was tied, nobody would ever cut it."""
    ran = subprocess.run(
        [sys.executable, str(_SCRIPT), "1", "/bin/echo", "started"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr == "The parent 1 is gone already.\n"


def test_main_when_the_parent_lives_then_it_becomes_the_program() -> None:
    """The program gets its arguments and keeps the exit code."""
    ran = subprocess.run(
        [sys.executable, str(_SCRIPT), str(os.getpid()), "/bin/sh", "-c", "echo $0; exit 3", "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (3, "x\n")


def test_main_when_called_then_it_replaces_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step is exec with the program's own arguments."""
    replaced: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda path, arguments: replaced.append((path, arguments)))
    monkeypatch.setattr(tether, "_PR_SET_PDEATHSIG", 2)  # PR_GET_PDEATHSIG: changes nothing here
    monkeypatch.setattr("ctypes.CDLL", lambda *_args, **_named: _Libc())
    tether.main([str(os.getppid()), "/bin/true", "a", "b"])
    assert replaced == [("/bin/true", ["/bin/true", "a", "b"])]


class _Libc:
    """A C library whose prctl always succeeds."""

    def prctl(self, *_arguments: int) -> int:
        """Accept the request."""
        return 0
