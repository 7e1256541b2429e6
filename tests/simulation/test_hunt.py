"""The judge can fail: defects that are planted are found, and the list of them is up to date."""

import importlib.util
from pathlib import Path

import pytest

from tests.simulation.planted import DEFECTS, Defect


def test_defects_when_listed_then_are_thirty_at_least_with_names_of_their_own() -> None:
    """What is promised is the number; ``python -m tests.simulation.hunt`` looks for all."""
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS) >= 30


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_defect_when_its_source_is_read_then_fits_once_and_compiles(defect: Defect) -> None:
    """A defect that no longer fits, or only stops the import, would prove nothing."""
    spec = importlib.util.find_spec(defect.module)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text()
    assert source.count(defect.before) == 1
    compile(source.replace(defect.before, defect.after), spec.origin, "exec")
