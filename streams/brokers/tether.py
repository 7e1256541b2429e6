"""Tie this process's life to its parent's, then become the given program.

Run by path as ``tether.py PARENT_PID PROGRAM [ARGUMENT ...]``. The kernel kills the program when
the parent is gone, however the parent ended; no watching process stays behind. It imports nothing
of ours, so that a start costs milliseconds.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Ask the kernel to tie us to the parent and replace this process by the program."""
    parent_pid, program, *rest = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    # The parent may have died before the call above; then nobody would ever send the signal.
    if os.getppid() != int(parent_pid):
        sys.exit(f"The parent {parent_pid} is gone already.")
    os.execv(program, [program, *rest])  # noqa: S606  the caller resolved it; no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
