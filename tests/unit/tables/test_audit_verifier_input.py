"""What stands in a bundle and is no row, head or manifest: told with its place, never an error."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tables.audit_verifier import main, verify
from tests.tampering import DEEDS
from tests.trails import Trail, key

N_ROWS = 40
KEYS = [key().public_pem]


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
        assert main([str(bundle)]) in {1, 2, 4}
    bundle.write_bytes(data[: len(data) // 2])
    assert main([str(bundle)]) == 2
    assert "cannot be verified" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("gone.zip", [], "gone.zip: No such file or directory; expected a file"),
        (".", [], "Is a directory"),
        ("text.zip", [], "not a zip file; expected a file that `tradewind audit export` wrote"),
        (
            "foreign.zip",
            [],
            "no manifest.json; expected a file that `tradewind audit export` wrote",
        ),
        ("audit.zip", ["--key=gone.pem"], "gone.pem: No such file"),
        ("audit.zip", ["--key=text.zip"], "the key is b'hello'; expected a public key in PEM"),
        ("audit.zip", ["--heads=text.zip"], "is b'hello'; expected values of the topic"),
    ],
)
async def test_main_when_a_file_is_another_one_then_says_what_was_found_and_expected(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    options: list[str],
    said: str,
) -> None:
    """A person who took the wrong file can tell which, and from what."""
    await Trail(3).bundle(tmp_path)
    (tmp_path / "text.zip").write_text("hello")
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    monkeypatch.chdir(tmp_path)
    assert main([name, *options]) == 2
    assert said in capsys.readouterr().err


async def test_verify_when_another_key_is_taken_then_names_the_one_that_signed(
    tmp_path: Path,
) -> None:
    """The wrong key looks like a forged trail: both ids are there to compare."""
    report = verify(await Trail(3).bundle(tmp_path), [key(2).public_pem])
    (fault,) = report.faults
    assert key().id[:16] in fault.why
    assert report.keys == [key(2).id]


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
