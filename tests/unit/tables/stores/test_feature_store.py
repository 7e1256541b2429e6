"""The store of prepared histories: the same bits come back, and nothing that is not meant."""

import os
from pathlib import Path

import numpy as np

from models.history import BarHistory
from models.prepared import Prepared
from tables.stores.feature_store import MAX_FILES, FeatureStore

KEY = {"source": "a", "pipeline_digest": "p"}


def prepared(seed: int = 1) -> Prepared:
    """Draw a history in which the second symbol lists late and one bar has nobody."""
    draw = np.random.default_rng(seed)
    present = np.ones((6, 2), bool)
    present[:2, 1] = False
    present[3] = False
    columns = [np.where(present, draw.uniform(1, 2, (6, 2)), np.nan) for _ in range(6)]
    features = np.where(present[..., None], draw.normal(size=(6, 2, 3)), np.nan)
    features[4, 0, 1] = np.nan
    return Prepared(BarHistory(("B", "A"), np.arange(6, dtype=np.int64), *columns), features)


def test_get_when_put_before_then_has_the_same_bits(tmp_path: Path) -> None:
    """A fit on what was kept gives the bytes of a fit on what was computed."""
    store, one = FeatureStore(tmp_path), prepared()
    store.put(KEY, one)
    again = store.get(KEY)
    assert again is not None
    assert again.history.symbols == ("B", "A")
    assert again.features.tobytes() == one.features.tobytes()
    for mine, theirs in zip(one.history[1:], again.history[1:], strict=True):
        assert np.asarray(mine).tobytes() == np.asarray(theirs).tobytes()


def test_get_when_the_key_differs_then_finds_nothing(tmp_path: Path) -> None:
    """Another tape, range or pipeline has its own features."""
    store = FeatureStore(tmp_path)
    store.put(KEY, prepared())
    assert store.get({**KEY, "pipeline_digest": "q"}) is None


def test_get_when_the_file_is_damaged_then_finds_nothing_and_removes_it(tmp_path: Path) -> None:
    """A torn file costs a computation, not a wrong model."""
    store = FeatureStore(tmp_path)
    store.put(KEY, prepared())
    (file,) = tmp_path.glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-100])
    assert store.get(KEY) is None
    assert not file.exists()


def test_put_when_there_are_too_many_then_the_oldest_goes(tmp_path: Path) -> None:
    """The cache is bounded."""
    store = FeatureStore(tmp_path)
    for n in range(MAX_FILES + 1):
        store.put({"n": n}, prepared())
        for file in tmp_path.glob("*.parquet"):
            age = file.stat()
            os.utime(file, ns=(age.st_atime_ns, age.st_mtime_ns - 10**9))
    assert store.get({"n": 0}) is None
    assert all(store.get({"n": n}) is not None for n in range(1, MAX_FILES + 1))


def test_put_when_writers_were_killed_then_their_drafts_go_in_their_turn(tmp_path: Path) -> None:
    """Seventy megabytes for every killed training would fill a disk."""
    for n in range(MAX_FILES):
        draft = tmp_path / f".{n:064x}.parquet.{n}"
        draft.write_bytes(b"half")
        os.utime(draft, ns=(n, n))
    store = FeatureStore(tmp_path)
    store.put(KEY, prepared())
    assert len(list(tmp_path.iterdir())) == MAX_FILES
    assert store.get(KEY) is not None
