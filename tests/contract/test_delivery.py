"""The document about delivery names tests; each of them is there."""

import ast
from pathlib import Path

from tests.evidence.validation.delivery_scenarios import scenarios

ROOT = Path(__file__).parents[2]


def _names(file: Path) -> set[str]:
    found = ast.walk(ast.parse(file.read_text())) if file.exists() else ()
    return {node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_scenarios_when_they_name_tests_then_all_of_them_are_there() -> None:
    """A promise whose test was renamed has no test; one that names none is a hope."""
    named = sorted({test for one in scenarios() for test in one.tests})
    missing = [
        test
        for test in named
        if test.partition("::")[2] not in _names(ROOT / test.partition("::")[0])
    ]
    assert missing == []
    assert all(one.tests for one in scenarios())
