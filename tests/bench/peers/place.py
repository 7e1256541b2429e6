"""The environment of the peers whose pins contradict ours: made once for each lock file."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from streams.brokers.homes import cache_home

LOCK = Path(__file__).resolve().parents[3] / "requirements" / "peers.lock"


def python() -> Path:
    """Return the interpreter that has the peers, after having made its environment if need be.

    Raises
    ------
    RuntimeError
        If ``uv`` is not there, or the packages cannot be had.
    """
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise RuntimeError("uv is not on PATH; `make setup` puts it into .venv/bin")
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    place = cache_home() / "peers" / digest
    if not (place / "made").exists():
        interpreter = str(place / "bin" / "python")
        for command in (
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)],
            [uv, "pip", "install", "--python", interpreter, "--require-hashes", "-r", str(LOCK)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)} ended with {done.stderr[-2_000:]}")
        (place / "made").touch()
    return place / "bin" / "python"
