"""The verifier, alone and beside: it finds what was done to a trail, and where."""

import asyncio
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from random import Random

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tables.audit_verifier import main, verify
from tests.head_tampering import HEAD_DEEDS, rewrite_bundle
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


async def test_main_when_the_first_minute_is_not_over_then_says_that_no_head_is_there_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a fault nor proved: a status of its own, which a script can wait for."""
    young = await Trail(7, sealed=False).bundle(tmp_path)
    assert main([str(young)]) == 3
    said = capsys.readouterr().out
    assert "7 rows, 0 signed heads: no head yet" in said
    assert "Nothing is proved of partitions 0" in said
    assert main([str(young), "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["holds"], told["state"], told["headless"]) == (False, "no head yet", [0])


def own_copy(folder: Path) -> list[str]:
    """Return the option that names the true key, kept where no bundle is."""
    path = folder / "kept.pem"
    path.write_bytes(key().public_pem)
    return [f"--key={path}"]


@pytest.mark.parametrize("seed", range(3))
async def test_verify_when_a_forger_signed_all_anew_then_holds_for_nobody(
    tmp_path: Path, seed: int
) -> None:
    """His bundle is sound and has his key: no status of success, and faults under the true key."""
    trail = Trail(N_ROWS)
    rewrite_bundle(trail, Random(seed))  # noqa: S311  a seeded place
    bundle = await trail.bundle(tmp_path)
    alone = verify(bundle, [])
    assert (alone.faults, alone.holds(), alone.state()) == ([], False, "key unknown")
    assert main([str(bundle)]) == 4
    assert main([str(bundle), *own_copy(tmp_path)]) == 1
    by_head = [fault for fault in verify(bundle, KEYS).faults if fault.kind == "head"]
    assert [fault.first_seq for fault in by_head] == [0, 10, 20, 30]


async def test_verify_when_the_young_rows_were_edited_then_that_is_what_it_says(
    tmp_path: Path,
) -> None:
    """A trail without a head is looked at all the same."""
    trail = Trail(7, sealed=False)
    trail.rows[4] = trail.rows[4]._replace(quantity=1.0)
    report = verify(await trail.bundle(tmp_path), KEYS)
    assert (report.state(), [fault.first_seq for fault in report.faults]) == ("faults", [4])


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


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("deed", HEAD_DEEDS)
async def test_verify_when_somebody_without_the_key_acts_on_heads_then_names_their_rows(
    tmp_path: Path, deed: str, seed: int
) -> None:
    """The file of heads is edited, thinned, added to, shuffled, cut off, or made anew."""
    trail = Trail(10 * N_ROWS)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(b"".join(head.canonical() + b"\n" for head in trail.heads))
    done = HEAD_DEEDS[deed](trail, Random(f"{deed} {seed}"))  # noqa: S311  a seeded place
    bundle = await trail.bundle(tmp_path)
    report = verify(bundle, KEYS)
    if deed == "truncate" and report.holds():
        # Of a trail that ends a minute ago the last rows have no head either: a copy tells.
        report = verify(bundle, KEYS, [copy])
    assert not report.holds()
    assert is_located(done, report.faults), (done, [str(fault) for fault in report.faults])


async def test_verify_when_the_last_head_was_cut_off_then_a_copy_of_the_heads_tells(
    tmp_path: Path,
) -> None:
    """By itself the bundle looks like one whose last minute is not over."""
    trail = Trail(N_ROWS)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(b"".join(head.canonical() + b"\n" for head in trail.heads))
    del trail.heads[-1]
    bundle = await trail.bundle(tmp_path)
    alone = verify(bundle, KEYS)
    assert (alone.holds(), alone.n_unsealed) == (True, 10)
    assert [str(fault) for fault in verify(bundle, KEYS, [copy]).faults] == [
        "partition 0, rows 30 to 39: head: head 3 is known elsewhere, and the bundle has it not"
    ]


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
    assert [str(fault) for fault in faults] == [
        "partition 0, rows 10 to 19: head: heads 1 to 1 are missing"
    ]
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
    assert main([str(await Trail(N_ROWS).bundle(tmp_path)), *own_copy(tmp_path)]) == 0
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
        [sys.executable, "-I", "verify.py", str(bundle), *own_copy(tmp_path), "--json"],
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
    """0 holds, 1 does not, 2 cannot be read, 4 holds in itself and nobody knows whose key it is."""
    trail = Trail(N_ROWS)
    bundle = await trail.bundle(tmp_path)
    assert main([str(bundle), *own_copy(tmp_path)]) == 0
    assert "40 rows, 4 signed heads: all hold" in capsys.readouterr().out
    assert main([str(bundle)]) == 4
    said = capsys.readouterr().out
    assert "it holds in itself, but nothing says whose key it is" in said
    assert "copy of public.pem of the stack's folder audit, from elsewhere" in said
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
