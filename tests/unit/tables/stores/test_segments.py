"""Segments: what was durable is there whole and in order, or somebody is told where it is not."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tables.stores import segments as module
from tables.stores.disk import Disk
from tables.stores.errors import SegmentDamaged, SpillFailed, SpillFull, StoreConflict
from tables.stores.segments import PATTERN, Segments

# The last one holds the mark of a block, which is nothing that a torn write should be taken for.
GROUPS = ([b"one", b"two"], [b""], [b"\0" * 9, b"TWB1"])
ALL = [record for group in GROUPS for record in group]


def kept(folder: Path, groups: tuple[list[bytes], ...] = GROUPS) -> Path:
    """Append groups in one process that ends; return its only segment."""
    with Segments(folder) as segments:
        for group in groups:
            segments.append(group)
    (path,) = folder.glob(PATTERN)
    return path


def waiting(folder: Path) -> list[bytes]:
    """Return what another process finds."""
    with Segments(folder) as segments:
        return segments.read(1_000).payloads


def failing(monkeypatch: pytest.MonkeyPatch, name: str, number: int, *, times: int = 1) -> None:
    """Let the next calls of ``os.<name>`` fail."""
    real: Callable[..., object] = getattr(os, name)
    left = [times]

    def fail(*args: object) -> object:
        if left[0]:
            left[0] -= 1
            raise OSError(number, os.strerror(number))
        return real(*args)

    monkeypatch.setattr(module.os, name, fail)


def test_read_when_another_process_opens_then_finds_all_in_order(tmp_path: Path) -> None:
    """Durable is what a new process can read."""
    kept(tmp_path)
    with Segments(tmp_path) as segments:
        assert segments.n_records == len(ALL)
        assert segments.oldest_ns > 0
        assert segments.read(1_000).payloads == ALL


def test_read_when_a_segment_is_full_then_goes_on_in_the_next(tmp_path: Path) -> None:
    """The order crosses seams of files."""
    records_of = [b"%03d" % n for n in range(50)]
    with Segments(tmp_path, segment_bytes=200) as segments:
        for record in records_of:
            segments.append([record])
        assert len(list(tmp_path.glob(PATTERN))) == 10  # of 35 bytes a block: five a file
        assert segments.read(7).payloads == records_of[:7]
    assert waiting(tmp_path) == records_of


def test_append_when_a_segment_is_new_then_its_name_is_durable_when_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut a file is there whose folder was written since; without it all is lost."""
    durable: set[str] = set()
    real = os.fsync

    def fsync(file: int) -> None:
        real(file)
        if stat.S_ISDIR(os.fstat(file).st_mode):
            durable.update(os.listdir(file))

    monkeypatch.setattr(module.os, "fsync", fsync)
    with Segments(tmp_path, segment_bytes=200) as segments:
        for n in range(11):
            segments.append([b"%03d" % n])
            assert {path.name for path in tmp_path.glob(PATTERN)} <= durable
    assert len(list(tmp_path.glob(PATTERN))) == 3


def test_forget_when_parts_were_sent_then_only_the_rest_comes_again(tmp_path: Path) -> None:
    """The mark is durable, and what stands wholly before it makes room."""
    with Segments(tmp_path, segment_bytes=200) as segments:
        for n in range(50):
            segments.append([b"%03d" % n])
        segments.forget(segments.read(7))
        assert len(list(tmp_path.glob(PATTERN))) == 9
    with Segments(tmp_path) as segments:
        assert segments.n_records == 43
        assert segments.read(1).payloads == [b"007"]
        segments.forget(segments.read(1_000))
        assert (segments.n_records, segments.n_bytes, segments.oldest_ns) == (0, 0, 0)
        assert not list(tmp_path.glob(PATTERN))
        segments.append([b"new"])
    assert waiting(tmp_path) == [b"new"]


def size_of(groups: list[list[bytes]]) -> int:
    """Return the bytes that groups take: 28 of a header, 4 of each length."""
    return sum(28 + sum(4 + len(record) for record in group) for group in groups)


def prefix(n_bytes: int) -> list[list[bytes]]:
    """Return the groups that fit into so many bytes."""
    return next(list(GROUPS[:n]) for n in (3, 2, 1, 0) if size_of(list(GROUPS[:n])) <= n_bytes)


def test_open_when_cut_at_every_byte_then_keeps_the_whole_blocks(tmp_path: Path) -> None:
    """Every byte, not a sample."""
    data = kept(tmp_path).read_bytes()
    assert len(data) == size_of(list(GROUPS))
    for cut in range(len(data)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / f"{1:020d}.segment").write_bytes(data[:cut])
        assert waiting(folder) == [record for group in prefix(cut) for record in group]
        if cut > size_of(prefix(cut)):
            assert (folder / "torn").read_bytes() == data[size_of(prefix(cut)) : cut]


def test_open_when_any_bit_is_flipped_then_no_changed_record_is_read(tmp_path: Path) -> None:
    """Damage to what was durable is told with its place; in the last block it is a torn write."""
    data = kept(tmp_path).read_bytes()
    last = size_of(list(GROUPS[:2]))
    for bit in range(8 * len(data)):
        folder = tmp_path / str(bit)
        folder.mkdir()
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        (folder / f"{1:020d}.segment").write_bytes(changed)
        if bit // 8 >= last:
            assert waiting(folder) == ALL[:3]
        else:
            with pytest.raises(SegmentDamaged, match=f"{1:020d}.segment is not what was written"):
                Segments(folder)


def test_open_when_an_earlier_segment_is_short_then_is_damage(tmp_path: Path) -> None:
    """Only the last segment can have been in the middle of a write."""
    with Segments(tmp_path, segment_bytes=40) as segments:
        segments.append([b"one"])
        segments.append([b"two"])
    first, _ = sorted(tmp_path.glob(PATTERN))
    os.truncate(first, 20)
    with pytest.raises(SegmentDamaged, match="from byte 0 on"):
        Segments(tmp_path)


def test_read_when_a_block_changed_meanwhile_then_says_where(tmp_path: Path) -> None:
    """A disk can change its mind after the folder was opened."""
    with Segments(tmp_path) as segments:
        segments.append([b"one"])
        segments.append([b"two"])
        (path,) = tmp_path.glob(PATTERN)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        with pytest.raises(SegmentDamaged, match="from byte 35 on"):
            segments.read(10)


def test_open_when_the_mark_is_lost_then_all_that_is_there_comes_again(tmp_path: Path) -> None:
    """A repeat is allowed, a loss is not."""
    with Segments(tmp_path) as segments:
        segments.append([b"one"])
        segments.append([b"two"])
        segments.forget(segments.read(1))
    (tmp_path / "sent").unlink()
    assert waiting(tmp_path) == [b"one", b"two"]


def test_append_when_the_limit_is_reached_then_says_used_and_limit_and_goes_on_later(
    tmp_path: Path,
) -> None:
    """A bound that nobody can miss, and that needs no restart."""
    with Segments(tmp_path, limit_bytes=70) as segments:
        segments.append([b"one"])
        segments.append([b"two"])
        with pytest.raises(SpillFull, match=r"uses 70 of 70 bytes: no room for 33 more"):
            segments.append([b"x"])
        segments.forget(segments.read(2))
        segments.append([b"x"])
        assert segments.read(9).payloads == [b"x"]


@pytest.mark.parametrize("call", ["open", "write"])
def test_append_when_the_disk_is_full_then_takes_it_back_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """ENOSPC passes; the block that did not fit leaves nothing behind."""
    with Segments(tmp_path, segment_bytes=40) as segments:
        segments.append([b"one"])
        failing(monkeypatch, call, errno.ENOSPC)
        with pytest.raises(SpillFull, match=rf"{tmp_path} uses 35 of .* ENOSPC, .*make room"):
            segments.append([b"two"])
        segments.append([b"three"])
        assert segments.read(9).payloads == [b"one", b"three"]
    assert waiting(tmp_path) == [b"one", b"three"]


def test_append_when_the_disk_counts_as_full_then_no_segment_is_opened_and_one_is_filled(
    tmp_path: Path,
) -> None:
    """What is left is for states and topics; with room it goes on, and nothing is lost."""
    used = [0.5]
    disk = Disk(tmp_path, measure=lambda _: used[0])
    with Segments(tmp_path, segment_bytes=80, disk=disk) as segments:
        segments.append([b"one"])
        used[0] = 0.9
        segments.append([b"two"])
        with pytest.raises(SpillFull, match=r"is 90\.0% full; expected less than 90%: make room"):
            segments.append([b"three"])
        assert segments.read(9).payloads == [b"one", b"two"]
        used[0] = 0.89
        segments.append([b"three"])
    assert waiting(tmp_path) == [b"one", b"two", b"three"]


def test_append_when_a_part_was_written_then_the_part_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes the first bytes and refuses the next."""
    real = os.write
    room = [45]

    def write(file: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        n = real(file, data[: room[0]])
        room[0] -= n
        return n

    with Segments(tmp_path) as segments:
        monkeypatch.setattr(module.os, "write", write)
        segments.append([b"one"])
        with pytest.raises(SpillFull):
            segments.append([b"two"])
        (path,) = tmp_path.glob(PATTERN)
        assert path.stat().st_size == 35
        room[0] = 1_000
        segments.append([b"three"])
    assert waiting(tmp_path) == [b"one", b"three"]


@pytest.mark.parametrize(
    ("call", "number", "name"),
    [("fsync", errno.EIO, "EIO"), ("fsync", errno.ENOSPC, "ENOSPC"), ("write", errno.EIO, "EIO")],
)
def test_append_when_the_disk_fails_then_nothing_is_accepted_before_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, name: str
) -> None:
    """After an fsync that failed the next one may succeed and mean nothing (fsyncgate, 2018)."""
    with Segments(tmp_path) as segments:
        segments.append([b"one"])
        failing(monkeypatch, call, number)
        for _ in range(2):
            with pytest.raises(SpillFailed, match=rf"{tmp_path} uses 35 .* {name}, .*restart"):
                segments.append([b"two"])
        assert segments.read(9).payloads == [b"one"]
    assert waiting(tmp_path) == [b"one"]


def test_append_when_a_part_cannot_be_cut_then_is_cut_at_the_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written behind half of a block."""
    with Segments(tmp_path) as segments:
        segments.append([b"one"])
        failing(monkeypatch, "write", errno.ENOSPC)
        failing(monkeypatch, "ftruncate", errno.EIO)
        with pytest.raises(SpillFailed):
            segments.append([b"two"])
        with pytest.raises(SpillFailed):
            segments.append([b"two"])
    assert waiting(tmp_path) == [b"one"]


def test_forget_when_the_mark_fails_then_the_records_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mark that is not durable marks nothing."""
    with Segments(tmp_path) as segments:
        segments.append([b"one"])
        segments.append([b"two"])
        monkeypatch.setattr(segments._mark, "write", raising(OSError(errno.EIO, "I/O error")))
        with pytest.raises(SpillFailed, match="EIO"):
            segments.forget(segments.read(1))
    assert waiting(tmp_path) == [b"one", b"two"]


def raising(error: Exception) -> Callable[..., None]:
    """Return a function that raises."""

    def call(*_: object) -> None:
        raise error

    return call


def test_open_when_another_process_is_there_then_is_refused(tmp_path: Path) -> None:
    """Two writers in one folder would know nothing of each other."""
    with Segments(tmp_path), pytest.raises(StoreConflict, match="in use by another process"):
        Segments(tmp_path)
    Segments(tmp_path).close()


def test_open_when_the_mark_cannot_be_made_then_lets_go_of_the_folder(tmp_path: Path) -> None:
    """A failed start leaves no lock behind."""
    (tmp_path / "sent").mkdir()
    with pytest.raises(IsADirectoryError):
        Segments(tmp_path)
    (tmp_path / "sent").rmdir()
    Segments(tmp_path).close()


def test_open_when_files_are_made_then_only_their_owner_reads_them(tmp_path: Path) -> None:
    """Decisions are nobody else's business."""
    path = kept(tmp_path / "spill")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
