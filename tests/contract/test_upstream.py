"""Each report of docs/upstream has its program, which needs nothing of this repository."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "upstream"
REPORTS = sorted(FOLDER.glob("*_*.md"))
PROGRAMS = sorted(FOLDER.glob("*.py"))
ROOMS = {"agents", "models", "streams", "tables", "tests"}
HEADINGS = [
    "Versions",
    "What happens",
    "What was expected",
    "Cause",
    "Reproduction",
    "Proposed change",
]


def test_reports_when_listed_then_each_has_a_program_and_a_row() -> None:
    """A report that nobody can run is an opinion."""
    stems = [report.stem for report in REPORTS]
    assert stems
    assert stems == [program.stem for program in PROGRAMS]
    assert sorted(re.findall(r"\]\((\w+)\.md\)", (FOLDER / "README.md").read_text())) == stems


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.stem)
def test_report_when_read_then_says_all_that_a_maintainer_asks(report: Path) -> None:
    """Title, versions, what happens, what should, why, how to see it, what to change."""
    text = report.read_text()
    assert text.startswith("# ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert f"Program: [{report.stem}.py]({report.stem}.py)." in text
    assert f"python {report.stem}.py" in text


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_program_when_parsed_then_imports_nothing_of_the_product(program: Path) -> None:
    """A maintainer has Faust and what it needs, and nothing of ours."""
    tree = ast.parse(program.read_text(), program.name)
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            roots.add((node.module or "").partition(".")[0])
    assert not roots & ROOMS
    assert roots <= sys.stdlib_module_names | {"aiokafka", "faust", "mode", "uvloop"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("faust_flush_gives_up", "handed over by then: 0 of 3"),
        ("faust_changelog_offset", "a recovery reads on from 8: 6 is never read"),
        ("mode_ended_thread", "asked while it ends: no answer within 6 s"),
    ],
)
def test_program_when_no_broker_is_needed_then_shows_its_defect_and_the_change(
    name: str, said: str
) -> None:
    """The lock's Faust has it still: whoever updates Faust learns here that it was mended."""
    command = [sys.executable, str(FOLDER / f"{name}.py")]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FOLDER)
    assert found.returncode == 1, found.stdout + found.stderr
    assert said in found.stdout
    mended = subprocess.run([*command, "--with-change"], capture_output=True, check=False)
    assert mended.returncode == 0, mended.stderr
