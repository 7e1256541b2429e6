"""What a kept measurement depends on: other sources, the product's or its own, begin anew."""

from pathlib import Path

import pytest

from tests.evidence.chaos import _MADE_OF
from tests.evidence.kept import chain_sources, kept_path


def test_path_when_a_file_or_one_of_a_folder_changes_then_is_another(tmp_path: Path) -> None:
    """A single file counts as a folder's files do."""
    alone, folder = tmp_path / "runs.py", tmp_path / "chaos"
    folder.mkdir()
    (inside := folder / "campaign.py").write_text("1")
    alone.write_text("1")
    seen = {kept_path("name", [], str(folder), str(alone))}
    for file in (alone, inside):
        file.write_text("2")
        seen.add(kept_path("name", [], str(folder), str(alone)))
    assert len(seen) == 3


def test_path_when_a_place_is_not_there_then_says_so(tmp_path: Path) -> None:
    """A place that has moved must not be left out in silence."""
    with pytest.raises(FileNotFoundError):
        kept_path("name", [], str(tmp_path / "gone.py"))


def test_campaigns_when_kept_then_depend_on_how_they_are_played_and_judged() -> None:
    """The runs, the campaigns, their judge and their evidence; the API where it is switched on."""
    assert {"tests/chaos", "tests/runs.py", "tests/evidence/chaos.py"} <= set(_MADE_OF)
    assert all(Path(place).exists() for place in _MADE_OF)
    alone = set(chain_sources())
    assert Path("agents/desk.py") in set(chain_sources(has_api=True)) - alone
