"""A run in one file, which is what it was or is not there."""

from pathlib import Path

import pytest

from tables.stores.errors import StoreConflict
from tables.stores.tracking import run_archive


def test_write_when_the_folder_has_links_and_nothing_then_both_are_as_they_were(
    tmp_path: Path,
) -> None:
    """A link is kept as one: what it points to is somebody else's."""
    folder = tmp_path / "artifacts"
    (folder / "empty").mkdir(parents=True)
    (folder / "a").write_bytes(b"12345")
    (folder / "link").symlink_to("/etc/hostname")
    archive = tmp_path / "deep" / "run.tar.zst"
    size = run_archive.write(archive, [("runs", ['{"a": 1}']), ("none", [])], folder)
    assert size == archive.stat().st_size
    assert dict(run_archive._members(archive)).keys() == {
        "rows/runs.ndjson",
        "artifacts/a",
        "artifacts/link",
    }
    assert run_archive.bytes_of(folder) == 5 + len("/etc/hostname")
    assert run_archive.bytes_of(tmp_path / "none") == 0


def test_write_when_it_reads_back_otherwise_then_there_is_no_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is deleted for an archive that is damaged."""
    monkeypatch.setattr(run_archive, "_members", lambda _path: iter([("rows/runs.ndjson", "0")]))
    archive = tmp_path / "run.tar.zst"
    with pytest.raises(StoreConflict, match=r"does not hold what was written: rows/runs\.ndjson"):
        run_archive.write(archive, [("runs", ["{}"])], tmp_path / "artifacts")
    assert list(tmp_path.iterdir()) == []


def test_write_when_there_are_more_rows_than_fit_a_buffer_then_all_are_there(
    tmp_path: Path,
) -> None:
    """Lines are streamed, and read back by their digest."""
    lines = (f'{{"n": {n}}}' for n in range(200_000))
    archive = tmp_path / "run.tar.zst"
    size = run_archive.write(archive, [("metrics", lines)], tmp_path / "artifacts")
    assert 0 < size < sum(len(f'{{"n": {n}}}\n') for n in range(200_000)) / 2
