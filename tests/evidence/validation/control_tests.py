"""Which tests speak about which control: found by reading the tests, so the list cannot be old."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from models.risk.controls import CONTROLS, Control

ROOT = Path(__file__).parents[3]
FOLDERS = ("tests/unit", "tests/contract")
LEAST_TESTS = 3


# A test that names more controls than this is about their table, not about any of them.
MOST_NAMED = 4


def about(control: Control) -> list[str]:
    """Return the ids of the tests that name a control's code, set its limit, or call it."""
    return [
        test
        for test, source in _tests()
        if _names(control, source) and sum(_names(one, source) for one in CONTROLS) <= MOST_NAMED
    ]


def _names(control: Control, source: str) -> bool:
    words = [f"'{code}'" for code in control.codes] + [f"{key}=" for key in control.limits]
    return f"{control.find.__name__}(" in source or any(word in source for word in words)


@cache
def _tests() -> tuple[tuple[str, str], ...]:
    """Return every test with its source, decorators included."""
    return tuple(_read())


def _read() -> Iterator[tuple[str, str]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("test_*.py")):
            source = path.read_text()
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    parts = [*node.decorator_list, *node.body]
                    said = "\n".join(map(ast.unparse, parts))
                    yield f"{path.relative_to(ROOT)}::{node.name}", said
