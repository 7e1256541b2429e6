"""``python -m tests.fuzz [--runs N] [DECODER ...]``: atheris drives the decoders, one by one.

Each decoder gets an equal part of N executions in a process of its own, guided by the coverage of
our modules. A finding ends it, and its bytes are printed. CPU time of the slowest input and growth
of memory are measured beside: a decoder that is slow or greedy holds up a partition.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SLOWEST_MS, MOST_MB = 10.0, 64.0
_SEED = 1
_INSTRUMENTED = (
    *("streams", "agents.bars", "agents.slice_stage", "tables.bars", "tables.book"),
    *("tables.account_rows", "tables.explanations", "tables.rollout"),
    *("tables.stores.cached_row", "tables.views.account_history"),
)


def _fuzz(name: str, runs: int, said: Path) -> None:
    """Drive one decoder; this process ends with it."""
    import atheris  # noqa: PLC0415  only this process has it

    with atheris.instrument_imports(include=list(_INSTRUMENTED)):
        from tests.fuzz.decoders import DECODERS  # noqa: PLC0415  instrumented as it is imported

    decoder = next(one for one in DECODERS if one.name == name)
    for example in decoder.examples:
        decoder.read(example)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told: dict[str, Any] = {"runs": 0, "slowest_ms": 0.0, "refused": 0, "growth_mb": 0.0}

    def one(value: bytes) -> None:
        started = time.thread_time()
        try:
            decoder.read(value)
        except decoder.refusals:
            told["refused"] += 1
        took_ms = (time.thread_time() - started) * 1_000
        told["runs"] += 1
        if took_ms > told["slowest_ms"]:
            told["slowest_ms"] = round(took_ms, 3)
        if told["runs"] % 1_000 == 0 or told["runs"] >= runs:
            grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
            told["growth_mb"] = round(grown_kb / 1_024, 1)
            said.write_text(json.dumps(told))

    with tempfile.TemporaryDirectory() as corpus:
        for number, example in enumerate(decoder.examples):
            Path(corpus, str(number)).write_bytes(example)
        options = (f"-runs={runs}", f"-seed={_SEED}", "-max_len=65536", "-verbosity=0")
        options += (f"-artifact_prefix={corpus}/",)
        atheris.Setup([sys.argv[0], corpus, *options], one)
        atheris.Fuzz()


def _names() -> list[str]:
    from tests.fuzz.decoders import DECODERS  # noqa: PLC0415  not in the process that instruments

    return [decoder.name for decoder in DECODERS]


def _drive(name: str, runs: int) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile(suffix=".json") as said:
        ended = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", "--one", name, f"--runs={runs}", said.name],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        text = Path(said.name).read_text()
    told: dict[str, Any] = json.loads(text) if text else {"runs": 0}
    is_clean = ended.returncode == 0 and told["runs"] >= runs
    return {"decoder": name, **told, "finding": "" if is_clean else _told(ended)}


def _told(ended: "subprocess.CompletedProcess[str]") -> str:
    """Return what was found: the exception, and the bytes in base64 at the end."""
    return f"{ended.stdout}\n{ended.stderr}"[-3_000:]


def holds(told: dict[str, Any]) -> bool:
    """Tell whether a decoder kept its promises."""
    is_quick = told.get("slowest_ms", 0.0) <= SLOWEST_MS
    return not told["finding"] and is_quick and told.get("growth_mb", 0.0) <= MOST_MB


def main() -> int:
    """Fuzz, print a line for each decoder, and return 1 if one broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="executions in all")
    parser.add_argument("--one", metavar="DECODER", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*")
    said = parser.parse_args()
    if said.one:
        _fuzz(said.one, said.runs, Path(said.names[0]))
        return 0
    names = said.names or _names()
    all_hold = True
    for name in names:
        told = _drive(name, -(-said.runs // len(names)))
        all_hold &= holds(told)
        print(json.dumps(told), flush=True)  # noqa: T201  a command's output
    return 0 if all_hold else 1


if __name__ == "__main__":
    sys.exit(main())
