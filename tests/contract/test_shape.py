"""The shape of the repository: short files, honest names, a test beside everything."""

import ast
import doctest
import importlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("streams", "models", "tables", "agents")
MAX_LINES = 400

FORBIDDEN = {"utils", "helpers", "common", "misc", "base", "manager", "service"}

# Longer ones, and why.
LONGER = {"tables/audit_verifier.py": "one file by contract: auditors run it alone"}

# Modules without a unit test of their own, and why.
WITHOUT_TEST = {
    "streams/brokers/broker.py": "the protocol of the two brokers",
    "streams/brokers/broker_log.py": "read by tests of the embedded broker",
    "streams/brokers/waiting.py": "run by tests of the embedded broker",
    "models/arrays.py": "names of types",
    "models/errors.py": "names of errors",
    "models/model_set.py": "a record without logic",
    "streams/client/errors.py": "names of errors",
    "streams/explanation.py": "a record without logic",
    "streams/rollouts.py": "records without logic: tests/unit/tables/test_rollout.py",
    "streams/topic_metadata.py": "tests/integration/test_transport.py",
    "streams/questions.py": "records without logic: tests/unit/tables/views/test_openapi.py",
    "tables/stores/kept_stage.py": "tests/unit/tables/test_rollout_stage.py",
    "tables/stores/artifacts.py": "tests/unit/tables/test_artifacts.py",
    "tables/stores/audit_bundle.py": "tests/unit/tables/test_audit_verifier.py",
    "tables/stores/audit_reader.py": "tests/integration/test_forensics.py",
    "tables/stores/audit_shelf.py": "tests/integration/test_forensics.py",
    "tables/stores/audit_store.py": "tests/integration/test_forensics.py",
    "tables/stores/decision_log.py": "filled and asked in tests/unit/tables/views/test_site.py",
    "tables/stores/errors.py": "names of errors",
    "tables/stores/postgres_away.py": "names of errors: tests/integration/test_postgres.py",
    "tables/stores/head_trees.py": "tests/integration/test_audit.py",
    "tables/stores/reading_pool.py": "tests/integration/test_reading_pool.py",
    "tables/stores/migrations.py": "tests/integration/test_postgres.py",
    "tables/stores/row_store.py": "tests/integration/test_postgres.py",
    "tables/stores/model_registry.py": "tests/integration/test_registry.py",
    "tables/stores/tracking/export.py": "tests/integration/test_mlflow_migration.py",
    "tables/stores/tracking/report.py": "tests/integration/test_mlflow_migration.py",
    "tables/stores/tracking/migration.py": "tests/integration/test_mlflow_migration.py",
    "tables/stores/tracking/postgres_schema.py": "tests/integration/test_mlflow_migration.py",
    "tables/stores/tracking/revisions.py": "tests/integration/test_mlflow_migration.py",
    "tables/stores/tracking/retirement.py": "tests/integration/test_mlflow_retention.py",
    "tables/stores/tracking/run_facts.py": "tests/integration/test_mlflow_retention.py",
    "agents/topology.py": "tests/contract/test_topology.py",
}
# Folders whose modules are tested together, and where.
TESTED_TOGETHER = {
    "agents/run/": "wiring of processes: tests/e2e",
    "agents/cli/": "wiring of commands: tests/unit/agents/cli and tests/e2e",
    "tables/views/": "parts of the page: tests/unit/tables/views/test_site.py",
}


def tracked(*patterns: str) -> list[Path]:
    """Return the files under version control."""
    listed = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    return [Path(name) for name in listed if (ROOT / name).exists()]


def product() -> list[Path]:
    """Return the product's modules."""
    return [path for path in tracked("*.py") if path.parts[0] in ROOMS]


def functions_of(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the test functions of a file."""
    return [
        node
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]


def test_files_when_counted_then_none_exceeds_the_limit() -> None:
    """A file is read in one go."""
    counted = {str(p): len((ROOT / p).read_text().splitlines()) for p in tracked("*.py")}
    assert {name: n for name, n in counted.items() if n > MAX_LINES}.keys() == LONGER.keys()


def test_files_when_named_then_say_what_they_hold() -> None:
    """No file is a drawer for everything."""
    assert [str(p) for p in tracked("*.py") if p.stem in FORBIDDEN] == []


def test_modules_when_listed_then_the_unit_tests_mirror_them() -> None:
    """Every module with logic has its test at the same place, or a reason."""
    missing = [
        str(path)
        for path in product()
        if not path.stem.startswith("__")
        and str(path) not in WITHOUT_TEST
        and not str(path).startswith(tuple(TESTED_TOGETHER))
        and not (ROOT / "tests/unit" / path.parent / f"test_{path.stem}.py").exists()
    ]
    assert missing == []


def test_exceptions_when_listed_then_are_still_needed() -> None:
    """A module that has its test, or is gone, is no exception."""
    for name in WITHOUT_TEST:
        path = Path(name)
        assert (ROOT / path).exists(), name
        assert not (ROOT / "tests/unit" / path.parent / f"test_{path.stem}.py").exists(), name


def test_tests_when_read_then_each_says_what_it_is_about() -> None:
    """A test has a name of the form what, when, then, and one sentence."""
    wrong = [
        f"{path}:{test.name}"
        for path in tracked("tests/*.py")
        for test in functions_of(path)
        if not (ast.get_docstring(test) or "").endswith(".")
        or "_when_" not in test.name
        or "_then_" not in test.name
    ]
    assert wrong == []


def test_suppressions_when_made_then_have_their_reason_on_the_line() -> None:
    """A silenced rule says why."""
    bare = re.compile(r"# noqa(: ?[A-Z]+\d+(, ?[A-Z]+\d+)*)?$")
    wrong = [
        f"{path}:{number}"
        for path in tracked("*.py")
        for number, line in enumerate((ROOT / path).read_text().splitlines(), start=1)
        if bare.search(line)
    ]
    assert wrong == []


DOCUMENTED = [p for p in product() if ">>>" in (ROOT / p).read_text()]


@pytest.mark.parametrize("path", DOCUMENTED, ids=str)
def test_examples_when_run_then_say_the_truth(path: Path) -> None:
    """Examples in docstrings are run."""
    module = importlib.import_module(".".join(path.with_suffix("").parts))
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(module, optionflags=flags).failed == 0
