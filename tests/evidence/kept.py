"""Results of long measurements, kept so that an interrupted one goes on: n adds up."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import grimp

ROOMS = ("streams", "models", "tables", "agents")

# The chain, and those who keep in SQL what it says. The API is a part of the worker that few
# campaigns switch on: for the others, what only it imports may change without beginning anew.
CHAIN = ("agents.topology", "agents.archive", "agents.forensics")
_API = ("agents.serving", "agents.desk")


def chain_sources(*, has_api: bool = False) -> list[Path]:
    """Return the files of the product that decide what a run of the chain says."""
    graph = grimp.build_graph(*ROOMS, cache_dir=None)
    for module in () if has_api else _API:
        graph.remove_module(module)
    modules = set(CHAIN).union(*(graph.find_upstream_modules(module) for module in CHAIN))
    return [_file_of(module) for module in sorted(modules)]


def _files(place: Path) -> list[Path]:
    """Return a file, or those of a folder; what is not there would let stale results pass."""
    found = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    if not found:
        raise FileNotFoundError(f"{place} has no *.py; expected what a measurement is made of")
    return found


def _file_of(module: str) -> Path:
    folder = Path(*module.split("."))
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def kept_path(name: str, sources: Iterable[Path], *places: str) -> Path:
    """Return where a measurement notes how far it is; other sources begin anew.

    ``places`` are the files of the measurement itself, and folders of them.
    """
    digest = hashlib.sha256()
    of_tests = (file for place in places for file in _files(Path(place)))
    for file in (*sources, *of_tests):
        digest.update(file.read_bytes())
    return Path("build", "evidence", f"{name}-{digest.hexdigest()[:16]}.json")
