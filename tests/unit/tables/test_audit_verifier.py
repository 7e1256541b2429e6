"""The verifier, alone and beside: it finds what was done to a trail, and where."""

import asyncio
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tables.audit_verifier import main, verify
from tests.tampering import DEEDS, is_located
from tests.trails import Trail, key
from tests.unit.tables.views.played import decision

N_ROWS = 40
KEYS = [key().public_pem]


async def test_verify_when_nothing_was_done_then_all_holds(tmp_path: Path) -> None:
    """Rows without a head are counted and are no fault."""
    trail = Trail(N_ROWS + 3, sealed=False)
    report = verify(await trail.bundle(tmp_path), KEYS)
    assert report.holds()
    assert (report.n_rows, report.n_heads, report.n_unsealed) == (43, 4, 3)
    assert report.keys == [key().id]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("deed", DEEDS)
async def test_verify_when_the_owner_of_the_database_acts_then_names_the_row(
    tmp_path: Path, deed: str, seed: int
) -> None:
    """Edited, deleted, inserted, reordered, cut off, or all rewritten."""
    trail = Trail(N_ROWS)
    done = DEEDS[deed](trail.rows, Random(f"{deed} {seed}"))  # noqa: S311  a seeded place
    report = verify(await trail.bundle(tmp_path), KEYS)
    assert not report.holds()
    assert is_located(done, report.faults), (done, [str(fault) for fault in report.faults])


async def test_verify_when_a_value_is_changed_then_says_row_and_reason(tmp_path: Path) -> None:
    """The message names the place, and the columns that contradict the bytes."""
    trail = Trail(N_ROWS)
    trail.rows[17] = trail.rows[17]._replace(action="SELL")
    report = verify(await trail.bundle(tmp_path), KEYS)
    assert [str(fault) for fault in report.faults] == [
        "partition 0, row 17: column: action 'SELL': the bytes say ['BUY']"
    ]
    trail = Trail(N_ROWS)
    trail.rows[17] = trail.rows[17]._replace(value=msgspec.json.encode(decision(9)))
    kinds = {(fault.kind, fault.first_seq) for fault in verify_again(await trail.bundle(tmp_path))}
    assert kinds == {("link", 17), ("column", 17)}


def verify_again(bundle: Path) -> list[object]:
    """Return the faults of a bundle."""
    return list(verify(bundle, KEYS).faults)


@pytest.mark.parametrize("hidden", ["hidden", "shown"])
async def test_verify_when_columns_are_emptied_or_filled_then_says_so(
    tmp_path: Path, hidden: str
) -> None:
    """A decision cannot be hidden from a search, and poison cannot pose as one."""
    trail = Trail(3)
    empty = dict.fromkeys(trail.rows[0]._fields[10:])
    if hidden == "hidden":
        trail.rows[1] = trail.rows[1]._replace(**empty)
    else:
        trail.rows[1] = trail.rows[1]._replace(value=b"poison")
    assert "column" in {fault.kind for fault in verify(await trail.bundle(tmp_path), KEYS).faults}


async def test_verify_when_the_end_of_a_minute_is_cut_off_then_says_what_is_unproved(
    tmp_path: Path,
) -> None:
    """The rest of the minute may be what it was: nobody can tell."""
    trail = Trail(N_ROWS)
    del trail.rows[36:]
    assert [str(fault) for fault in verify(await trail.bundle(tmp_path), KEYS).faults] == [
        "partition 0, rows 36 to 39: missing: head 3 signed them: the end is cut off",
        "partition 0, rows 30 to 35: unproved: their head signed them with rows that are missing",
    ]


async def test_verify_when_heads_are_forged_or_lost_then_says_so(tmp_path: Path) -> None:
    """Another key, a head too few, and heads that name another head."""
    trail = Trail(N_ROWS)
    trail.heads[1] = key(2).sign(trail.heads[1])
    faults = verify(await trail.bundle(tmp_path), KEYS).faults
    assert ("head", 10) in {(fault.kind, fault.first_seq) for fault in faults}
    trail = Trail(N_ROWS)
    del trail.heads[1]
    faults = verify(await trail.bundle(tmp_path), KEYS).faults
    assert [(fault.kind, fault.first_seq) for fault in faults] == [("head", 20)]
    trail = Trail(N_ROWS)
    trail.heads[2] = msgspec.structs.replace(trail.heads[2], root="00" * 32)
    faults = verify(await trail.bundle(tmp_path), KEYS).faults
    assert ("head", 20) in {(fault.kind, fault.first_seq) for fault in faults}


async def test_verify_when_the_bundle_is_an_excerpt_then_begins_behind_a_head(
    tmp_path: Path,
) -> None:
    """From the minute of a time on; the link before it is that of a signed head."""
    trail = Trail(N_ROWS)
    excerpt = await trail.bundle(tmp_path, since=trail.rows[25].logged_at)
    report = verify(excerpt, KEYS, excerpt=True)
    assert (report.holds(), report.n_rows, report.n_left_out) == (True, 20, 20)
    (fault,) = verify(excerpt, KEYS).faults
    assert (fault.kind, fault.first_seq, fault.last_seq) == ("missing", 0, 19)
    assert "as an excerpt" in fault.why
    del trail.rows[20:22]
    bundle = await trail.bundle(tmp_path, since=trail.rows[25].logged_at)
    assert [(f.kind, f.first_seq) for f in verify(bundle, KEYS, excerpt=True).faults] == [
        ("missing", 20),
        ("link", 22),
    ]


def with_manifest(bundle: Path, **changes: object) -> Path:
    """Write a bundle anew with another manifest, and what else of it is to be changed."""
    changed = bundle.with_name("changed.zip")
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            if name == "manifest.json":
                manifest = json.loads(old.read(name)) | changes
                new.writestr(name, json.dumps(manifest))
            elif name not in changes:
                new.writestr(name, old.read(name))
    return changed


async def test_verify_when_the_manifest_hides_partitions_then_they_are_looked_at(
    tmp_path: Path,
) -> None:
    """Nobody signs the manifest, so it cannot say what there is."""
    trail = Trail(N_ROWS)
    trail.rows[17] = trail.rows[17]._replace(action="SELL")
    report = verify(with_manifest(await trail.bundle(tmp_path), begins={}), KEYS)
    assert (report.n_rows, [fault.first_seq for fault in report.faults]) == (N_ROWS, [17])


@pytest.mark.parametrize("begin", [7, 10, 10**9])
async def test_verify_when_the_beginning_was_cut_off_then_says_which_rows(
    tmp_path: Path, begin: int
) -> None:
    """Heads of ten rows each: an excerpt begins behind one of them, and only if that is asked."""
    trail = Trail(N_ROWS)
    trail.rows = trail.rows[begin:]
    gutted = with_manifest(await trail.bundle(tmp_path), begins={"0": begin})
    first = verify(gutted, KEYS).faults[0]
    assert (first.kind, first.first_seq, first.last_seq) == ("missing", 0, begin - 1)
    assert verify(gutted, KEYS, excerpt=True).holds() is (begin == 10)


async def test_verify_when_nothing_is_left_then_cannot_be_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty file proves nothing, and the status says so."""
    gutted = with_manifest(
        await Trail(N_ROWS).bundle(tmp_path), **{"rows-0.jsonl": "", "heads-0.jsonl": ""}, begins={}
    )
    assert main([str(gutted)]) == 2
    assert "neither rows nor heads" in capsys.readouterr().err


async def test_main_when_no_heads_are_given_then_says_what_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The end can be cut off with its heads by whoever makes the bundle."""
    assert main([str(await Trail(N_ROWS).bundle(tmp_path))]) == 0
    assert "by --heads from elsewhere alone" in capsys.readouterr().out


async def test_verify_when_heads_come_from_the_topic_then_they_count(tmp_path: Path) -> None:
    """Whoever rewrote the file of heads as well has not rewritten the topic."""
    trail = Trail(N_ROWS)
    bundle = await trail.bundle(tmp_path)
    copy = tmp_path / "topic.jsonl"
    lines = [head.canonical().decode() for head in trail.heads]
    copy.write_text("\n".join([*lines, lines[-1]]) + "\n")
    assert verify(bundle, KEYS, [copy]).holds()
    trail.rows, trail.heads = trail.rows[:20], trail.heads[:2]
    bundle = await trail.bundle(tmp_path)
    assert verify(bundle, KEYS).holds()
    assert [str(fault) for fault in verify(bundle, KEYS, [copy]).faults] == [
        "partition 0, rows 20 to 39: missing: head 3 signed them: the end is cut off"
    ]


async def test_verify_when_run_as_a_file_alone_then_needs_no_other_part(tmp_path: Path) -> None:
    """A stranger unzips the bundle and runs it, without the repository on the path."""
    bundle = await Trail(N_ROWS).bundle(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(elsewhere)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-I", "verify.py", str(bundle), "--key", "public.pem", "--json"],
        cwd=elsewhere,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["holds"]
    imports = [
        line for line in (elsewhere / "verify.py").read_text().splitlines() if "import" in line
    ]
    assert not [line for line in imports if "tables" in line or "streams" in line]


async def test_main_when_asked_then_its_status_and_words_say_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 holds, 1 does not, 2 cannot be read."""
    trail = Trail(N_ROWS)
    bundle = await trail.bundle(tmp_path)
    assert main([str(bundle)]) == 0
    assert "40 rows, 4 signed heads: all hold" in capsys.readouterr().out
    for at in range(N_ROWS):
        trail.rows[at] = trail.rows[at]._replace(action="SELL", quantity=1.0, symbol="X")
    trail.rows += [row._replace(log_offset=row.log_offset + 99) for row in trail.rows]
    trail.rows += [row._replace(log_offset=row.log_offset + 999) for row in trail.rows]
    assert main([str(await trail.bundle(tmp_path))]) == 1
    assert "more" in capsys.readouterr().out
    other = tmp_path / "other.pem"
    other.write_bytes(
        X25519PrivateKey.generate()
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    for arguments in (["nothing.zip"], [str(bundle), f"--key={other}"]):
        assert main(arguments) == 2
        assert "cannot be verified" in capsys.readouterr().err


async def test_verify_when_the_bundle_has_another_format_then_refuses(tmp_path: Path) -> None:
    """A later program's bundle is not judged by this one."""
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", '{"format": "other"}')
    with pytest.raises(ValueError, match="format was 'other'"):
        verify(path, KEYS)


def with_lines(bundle: Path, name: str, change: Callable[[list[bytes]], None]) -> Path:
    """Write the bundle anew with other lines in one of its files."""
    with zipfile.ZipFile(bundle) as archive:
        files = {each: archive.read(each) for each in archive.namelist()}
    lines = files[name].splitlines()
    change(lines)
    files[name] = b"".join(line + b"\n" for line in lines)
    with zipfile.ZipFile(bundle, "w") as archive:
        for each, data in files.items():
            archive.writestr(each, data)
    return bundle


_DEEP = b"[" * 900 + b"]" * 900


@pytest.mark.parametrize(
    "edit",
    [
        lambda _line: b"[1, 2]",
        lambda _line: b"null",
        lambda _line: b"\xff\xfe{",
        lambda _line: b"[" * 100_000,
        lambda line: line.replace(b'"columns": {', b'"columns": null, "x": {'),
        lambda line: line.replace(b'"offset": 7', b'"offset": true'),
        lambda line: line.replace(b'"offset": 7', b'"ofset": 7'),
        lambda line: line.replace(b'"seq": 7', b'"seq": "7"'),
        lambda line: line.replace(b'"value": "', b'"value": "\\ud800'),
        lambda line: line.replace(b'"value": "', b'"value": "===='),
        lambda line: line.replace(b'"headers": [', b'"headers": [' + _DEEP + b", "),
        lambda line: line.replace(b'"bar_close": "', b'"bar_close": ["x"], "x": "'),
        lambda line: line.replace(b'"bar_close": "', b'"bar_close": "soon'),
        lambda line: line.replace(b'"value": "', b'"value": "eA==", "value": "'),
        lambda line: line.replace(b'"columns": {', b'"columns": {"approved_by": "the CEO", '),
        lambda line: line.replace(b'"columns": {', b'"comment": "all fine", "columns": {'),
    ],
)
async def test_verify_when_a_row_is_no_row_then_is_a_fault_of_that_row(
    tmp_path: Path, edit: Callable[[bytes], bytes]
) -> None:
    """Whatever stands there, the rest is looked at, and the place is named first."""
    bundle = await Trail(N_ROWS).bundle(tmp_path)

    def change(lines: list[bytes]) -> None:
        edited = edit(lines[7])
        assert edited != lines[7]
        lines[7] = edited

    report = verify(with_lines(bundle, "rows-0.jsonl", change), KEYS)
    assert [fault.first_seq for fault in report.faults][:1] == [7]
    assert report.n_rows >= N_ROWS - 1


@pytest.mark.parametrize(
    "edit",
    [
        lambda _line: b"[]",
        lambda line: line.replace(b'"key_id":"', b'"key_id":["'),
        lambda line: line.replace(b'"key_id":"', b'"key_id":[1],"x":"'),
        lambda line: line.replace(b'"last_seq":', b'"last_seq":-'),
        lambda line: line.replace(b'"root":"', b'"root":"zz'),
        lambda line: line.replace(b'"signature":"', b'"signature":"="'),
        lambda line: line.replace(b'"signature":"', b'"signature":"\\ud800'),
        lambda line: line.replace(b'"number":2', b'"number":3'),
        lambda line: line.replace(b'"previous":"', b'"previous":"0'),
    ],
)
async def test_verify_when_a_head_is_edited_then_is_a_fault(
    tmp_path: Path, edit: Callable[[bytes], bytes]
) -> None:
    """A head that is no head, or another one, is told; nothing ends in an error of the program."""
    bundle = await Trail(N_ROWS).bundle(tmp_path)

    def change(lines: list[bytes]) -> None:
        edited = edit(lines[2])
        assert edited != lines[2]
        lines[2] = edited

    report = verify(with_lines(bundle, "heads-0.jsonl", change), KEYS)
    assert "head" in {fault.kind for fault in report.faults}


@pytest.mark.parametrize(
    "manifest",
    [
        b"[]",
        b"{",
        b'{"format": 1}',
        b'{"format":"tradewind-audit-1","stack":"s","run":"r","begins":{"0":"1"}}',
        b'{"format":"tradewind-audit-1","stack":"s","run":"r","begins":{"0":-1}}',
        b'{"format":"tradewind-audit-1","stack":"s","run":"r","begins":{"x":1}}',
        b'{"format":"tradewind-audit-1","stack":"s","run":"r","begins":{"0":true}}',
    ],
)
async def test_main_when_the_manifest_is_none_then_the_bundle_cannot_be_verified(
    tmp_path: Path, manifest: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2 with words, and no traceback."""
    bundle = await Trail(3).bundle(tmp_path)
    with_lines(bundle, "manifest.json", lambda lines: lines.__setitem__(slice(None), [manifest]))
    assert main([str(bundle)]) == 2
    assert "cannot be verified" in capsys.readouterr().err


async def test_main_when_the_file_is_damaged_then_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every byte of a bundle may be another one."""
    bundle = await Trail(3).bundle(tmp_path)
    data = bundle.read_bytes()
    for at in range(0, len(data), 97):
        bundle.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        assert main([str(bundle)]) in {0, 1, 2}
    bundle.write_bytes(data[: len(data) // 2])
    assert main([str(bundle)]) == 2
    assert "cannot be verified" in capsys.readouterr().err


async def test_verify_when_all_is_rewritten_and_no_head_is_left_then_does_not_hold(
    tmp_path: Path,
) -> None:
    """Sound links alone prove nothing: whoever owns the rows can compute them."""
    trail = Trail(N_ROWS)
    DEEDS["rewrite_all"](trail.rows, Random(1))  # noqa: S311  a seeded place
    bundle = with_lines(await trail.bundle(tmp_path), "heads-0.jsonl", lambda lines: lines.clear())
    (fault,) = verify(bundle, KEYS).faults
    assert (fault.kind, fault.first_seq, fault.last_seq) == (
        "unsealed",
        0,
        len(trail.rows) - 1,
    )


async def test_verify_when_the_last_heads_are_taken_away_then_old_rows_are_told(
    tmp_path: Path,
) -> None:
    """Ten rows a minute and a head each: behind the third head stand more than two minutes."""
    bundle = await Trail(N_ROWS + 30).bundle(tmp_path)

    def cut(lines: list[bytes]) -> None:
        del lines[3:]

    (fault,) = verify(with_lines(bundle, "heads-0.jsonl", cut), KEYS).faults
    assert (fault.kind, fault.first_seq, fault.last_seq) == ("unsealed", 30, N_ROWS + 29)


async def test_main_when_a_file_has_another_name_then_the_bundle_cannot_be_verified(
    tmp_path: Path,
) -> None:
    """A second set of rows beside the first would be read by people and not by the program."""
    bundle = await Trail(3).bundle(tmp_path)
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("rows-00.jsonl", "{}")
    assert main([str(bundle)]) == 2
