"""Results of long measurements, kept so that an interrupted one goes on: n adds up."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import grimp

ROOMS = ("streams", "models", "tables", "agents")

# The chain, and those who keep in SQL what it says. The API is a part of the worker that no
# campaign switches on: what only it imports may change without beginning anew.
CHAIN = ("agents.topology", "agents.archive", "agents.forensics")
_API = ("agents.serving", "agents.desk")


def chain_sources() -> list[Path]:
    """Return the files of the product that decide what a run of the chain says."""
    graph = grimp.build_graph(*ROOMS, cache_dir=None)
    for module in _API:
        graph.remove_module(module)
    modules = set(CHAIN).union(*(graph.find_upstream_modules(module) for module in CHAIN))
    return [_file_of(module) for module in sorted(modules)]


def _file_of(module: str) -> Path:
    folder = Path(*module.split("."))
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def kept_path(name: str, sources: Iterable[Path], *folders: str) -> Path:
    """Return where a measurement notes how far it is; other sources begin anew."""
    digest = hashlib.sha256()
    of_tests = (file for folder in folders for file in sorted(Path(folder).rglob("*.py")))
    for file in (*sources, *of_tests):
        digest.update(file.read_bytes())
    return Path("build", "evidence", f"{name}-{digest.hexdigest()[:16]}.json")
