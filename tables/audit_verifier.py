"""Verify an exported audit trail: ``python verify.py BUNDLE.zip --key YOUR_COPY/public.pem``.

This file needs Python 3.11 and the package cryptography, and nothing else: no database, no broker,
no other part of Tradewind. Every bundle has a copy of it, and of the public key; take both from
where you trust them. Whoever writes a whole trail anew signs it with a key of his own, and puts
that one into the bundle.

Each row must follow from the row before it (SHA-256 over its canonical JSON), its columns must say
what its bytes say, and each head must be signed, follow from the head before it, and have the root
of the hash tree (RFC 6962) of its rows. Heads may be given from elsewhere, one JSON line each, such
as a copy of the topic ``audit-heads``: ``--heads FILE``.

Exit status: 0 if all holds, 1 if anything was changed, 2 if the bundle cannot be read, 3 if some
rows have no signed head yet, as in the first minute of a trail: nothing is proved of them; 4 if all
holds in itself, and no key was given: nothing says whose key it is that signed.
"""

import argparse
import hashlib
import json
import re
import sys
import zipfile
import zlib
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

FORMAT = "tradewind-audit-1"

HOLDS, FAULTS, NO_HEAD_YET, KEY_UNKNOWN = "holds", "faults", "no head yet", "key unknown"
_STATUS = {HOLDS: 0, FAULTS: 1, NO_HEAD_YET: 3, KEY_UNKNOWN: 4}

_SAID_MAX = 100
_EXPECTED = "a file that `tradewind audit export` wrote"
_KEY_SHOWN = 16
_NO_LINK = bytes(32)
_NO_HEAD = "0" * 64
_ACTIONS = {"BUY", "SELL", "HOLD"}
_OTHERS = {"manifest.json", "public.pem", "verify.py"}
# A head comes each minute: what is older and has none was never signed, or its head was taken away.
_UNSEALED_MS = 120_000
_TEXTS = ("portfolio", "symbol", "timeframe")
_COLUMNS = {"decision_id", *_TEXTS, "bar_close", "action", "quantity", "approved"}
_ROUNDING = timedelta(microseconds=1)
_HEX = re.compile(r"[0-9a-f]{64}")

Json = dict[str, Any]
Shape = dict[str, Any]

# What a line must have to be one: the kinds of its values, or how a text must look.
_TEXT = (str, type(None))
_ROW: Shape = {"seq": int, "offset": int, "timestamp_ms": int, "key": _TEXT, "value": _TEXT}
_ROW |= {"headers": list, "chain": _HEX, "columns": dict}
_HEAD: Shape = {"number": int, "partition": int, "first_seq": int, "last_seq": int}
_HEAD |= dict.fromkeys(("stack", "run", "key_id", "signature"), str)
_HEAD |= dict.fromkeys(("previous", "root", "chain"), _HEX)
_MANIFEST: Shape = {"format": str, "stack": str, "run": str, "begins": dict}

_UNREADABLE = (
    ValueError,
    KeyError,
    OSError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Fault:
    """What does not hold, and where: rows are counted by ``seq`` within their partition."""

    partition: int
    kind: str
    first_seq: int
    last_seq: int
    why: str

    def __str__(self) -> str:
        rows = f"row {self.first_seq}"
        if self.last_seq != self.first_seq:
            rows = f"rows {self.first_seq} to {self.last_seq}"
        return f"partition {self.partition}, {rows}: {self.kind}: {self.why}"


@dataclass
class Report:
    """What was checked, and what does not hold; rows without a head are proved by no signature."""

    n_rows: int = 0
    n_heads: int = 0
    n_unsealed: int = 0
    n_left_out: int = 0
    faults: list[Fault] = field(default_factory=list)
    headless: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    is_own_key: bool = False

    def state(self) -> str:
        """Say what came out; partitions that are ``headless`` have rows, and no head at all.

        What is signed by the bundle's own key alone (``is_own_key``) may be anybody's.
        """
        if self.faults:
            return FAULTS
        if self.headless:
            return NO_HEAD_YET
        return KEY_UNKNOWN if self.is_own_key else HOLDS

    def holds(self) -> bool:
        """Tell whether nothing was changed, as heads show that a given key signed."""
        return self.state() == HOLDS


def verify(
    bundle: Path, keys: list[bytes], heads: list[Path] | None = None, *, excerpt: bool = False
) -> Report:
    """Verify a bundle.

    Parameters
    ----------
    bundle
        The exported file.
    keys
        Public keys as PEM, from elsewhere; without one that of the bundle is taken, and it is
        never said to hold.
    heads
        Files of heads to take instead of the bundle's.
    excerpt
        Whether it may begin later than the trail; then it must begin right behind a signed head.

    Raises
    ------
    ValueError, KeyError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error
        If it cannot be read, or holds neither rows nor heads.
    """
    with zipfile.ZipFile(bundle) as archive:
        if "manifest.json" not in archive.namelist():
            raise ValueError(f"it has no manifest.json; expected {_EXPECTED}")
        manifest = _manifest(archive.read("manifest.json"))
        known = dict(_key(pem) for pem in keys or [archive.read("public.pem")])
        report = Report(keys=sorted(known), is_own_key=not keys)
        given = _given(heads, manifest) if heads else {}
        # The manifest is signed by nobody: what it leaves out is looked at all the same.
        for partition in sorted({*map(int, _begins(manifest)), *given, *_partitions(archive)}):
            own = [line.rstrip(b"\n") for line in _lines(archive, f"heads-{partition}")]
            check = _Partition(manifest, partition, report, known)
            check.take_heads(given.get(partition, []) if heads else own)
            check.begin(excerpt=excerpt)
            for line in _lines(archive, f"rows-{partition}"):
                check.take_row(line)
            check.end()
            if heads:
                check.compare(own)
    if not report.n_rows and not report.n_heads:
        raise ValueError("it holds neither rows nor heads; expected a trail")
    return report


def _manifest(data: bytes) -> Json:
    named = _shaped(data, {"format": str})
    if named is not None and named["format"] != FORMAT:
        raise ValueError(f"format was {named['format']!r}; expected {FORMAT!r}")
    manifest = _shaped(data, _MANIFEST)
    if manifest is None:
        raise ValueError(f"manifest.json is {data[:_SAID_MAX]!r}; expected {sorted(_MANIFEST)}")
    return manifest


def _begins(manifest: Json) -> dict[str, int]:
    begins: dict[str, int] = manifest["begins"]
    for name, first in begins.items():
        if not (re.fullmatch(r"\d{1,9}", name) and type(first) is int and first >= 0):
            raise ValueError(f"begins was {name!r}: {first!r}; expected a partition and its row")
    return begins


def _partitions(archive: zipfile.ZipFile) -> set[int]:
    found = set()
    for name in archive.namelist():
        match = re.fullmatch(r"(?:rows|heads)-(0|[1-9]\d{0,8})\.jsonl", name)
        if match is not None:
            found.add(int(match[1]))
        elif name not in _OTHERS:
            raise ValueError(f"{name!r} is no file of a bundle")
    return found


def _given(paths: list[Path], manifest: Json) -> dict[int, list[bytes]]:
    found: dict[int, dict[int, bytes]] = {}
    for line in (line for path in paths for line in path.read_bytes().splitlines()):
        head = _shaped(line, _HEAD)
        if head is None:
            raise ValueError(
                f"a line of the given heads is {line[:_SAID_MAX]!r}; expected values of the topic "
                "audit-heads, one a line"
            )
        if (head["stack"], head["run"]) == (manifest["stack"], manifest["run"]):
            # A head may come twice on the topic, with the same bytes.
            found.setdefault(head["partition"], {})[head["number"]] = line
    return {p: [lines[n] for n in sorted(lines)] for p, lines in found.items()}


def _lines(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    if f"{name}.jsonl" in archive.namelist():
        with archive.open(f"{name}.jsonl") as file:
            yield from file


def _once(pairs: list[tuple[str, Any]]) -> Json:
    """Refuse a name that stands twice: whoever reads the other one sees another document."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _shaped(line: bytes, shape: Shape) -> Json | None:
    """Read a line whose values are of the expected kinds; None if it is none."""
    try:
        found = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    for name, kind in shape.items():
        value = found.get(name)
        if kind is _HEX and not (isinstance(value, str) and _HEX.fullmatch(value)):
            return None
        if kind is not _HEX and (not isinstance(value, kind) or isinstance(value, bool)):
            return None
    return found


def _key(pem: bytes) -> tuple[str, Ed25519PublicKey]:
    try:
        key = load_pem_public_key(pem)
    except ValueError as error:
        raise ValueError(
            f"the key is {pem[:_SAID_MAX]!r}; expected a public key in PEM, as public.pem of the "
            "stack's folder audit"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("the key is of another kind; expected Ed25519")  # noqa: TRY004  of a file, no argument
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest(), key


class _Partition:
    """The rows and heads of one partition, one after the other."""

    def __init__(
        self, of: Json, partition: int, report: Report, keys: dict[str, Ed25519PublicKey]
    ) -> None:
        self.of = of
        self.partition = partition
        self.report = report
        self.keys = keys
        self.heads: list[Json] = []
        self.at_head = 0
        self.leaves: list[bytes] = []
        self.next_seq = _begins(of).get(str(partition), 0)
        self.link = _NO_LINK
        self.offset = -1
        self.broken: set[int] = set()
        # Rows behind the last head, and the time from the first to the last of them.
        self.n_bare = 0
        self.bare_ms: tuple[int, int] | None = None

    def fault(self, kind: str, first: int, last: int, why: str) -> None:
        """Note what does not hold."""
        self.broken.update((first, last))
        self.report.faults.append(Fault(self.partition, kind, first, last, why))

    def begin(self, *, excerpt: bool) -> None:
        """Begin at the first row, or behind the head that ends before an excerpt."""
        while self.at_head < len(self.heads) and self._head()["last_seq"] < self.next_seq:
            self.link = bytes.fromhex(self._head()["chain"])
            self.at_head += 1
        if not self.next_seq:
            return
        self.report.n_left_out += self.next_seq
        last, behind = self.next_seq - 1, self.heads[self.at_head - 1] if self.at_head else None
        if not excerpt:
            why = "the bundle leaves them out; if that is meant, verify it as an excerpt"
            self.fault("missing", 0, last, why)
        elif behind is None or behind["last_seq"] != last:
            self.fault("missing", 0, last, "no signed head ends where the excerpt begins")

    def take_heads(self, lines: list[bytes]) -> None:
        """Read all heads; each must be signed and follow from the one before."""
        before, number = _NO_HEAD, 0
        for text in lines:
            head = _shaped(text, _HEAD)
            behind = self.heads[-1]["last_seq"] + 1 if self.heads else 0
            if head is None:
                self.fault("head", behind, behind, f"this line is no head: {text[:_SAID_MAX]!r}")
                continue
            rows = (head["first_seq"], head["last_seq"])
            if not self._is_signed(head, text):
                why = f"head {head['number']} is not signed by a known key"
                if head["key_id"] not in self.keys:
                    why += f"; it names {head['key_id'][:_KEY_SHOWN]!r}"
                self.fault("head", *rows, why)
            elif head["number"] > number and head["first_seq"] > behind:
                why = f"heads {number} to {head['number'] - 1} are missing"
                self.fault("head", behind, head["first_seq"] - 1, why)
            elif (head["number"], head["previous"]) != (number, before):
                why = f"head {head['number']} does not follow from head {number - 1}"
                self.fault("head", *rows, why)
            before, number = hashlib.sha256(text).hexdigest(), head["number"] + 1
            self.heads.append(head)
        self.report.n_heads += len(self.heads)

    def _is_signed(self, head: Json, text: bytes) -> bool:
        whose = (self.of["stack"], self.of["run"], self.partition)
        key = self.keys.get(head["key_id"])
        if key is None or (head["stack"], head["run"], head["partition"]) != whose:
            return False
        unsigned = {name: value for name, value in head.items() if name != "signature"}
        try:
            key.verify(b64decode(head["signature"]), _canonical(unsigned))
        except (InvalidSignature, ValueError, RecursionError):
            return False
        return _canonical(head) == text

    def take_row(self, line: bytes) -> None:
        """Check the next row against the one before it."""
        row = _shaped(line, _ROW)
        if row is None or row.keys() != _ROW.keys():
            why = f"this line is no row: {line[:_SAID_MAX]!r}"
            self.fault("unreadable", self.next_seq, self.next_seq, why)
            self.next_seq += 1
            return
        seq: int = row["seq"]
        self._in_order(seq, row["offset"])
        leaf = hashlib.sha256(b"\x00" + self._sealed(row)).digest()
        stored = bytes.fromhex(row["chain"])
        if hashlib.sha256(b"\x02" + self.link + leaf).digest() != stored:
            self.fault(
                "link", seq, seq, "it does not follow from the row before it: edited or put here"
            )
        self._columns(row)
        self.link, self.offset, self.next_seq = stored, row["offset"], seq + 1
        if self.at_head >= len(self.heads):
            self.n_bare += 1
            self.bare_ms = _widened(self.bare_ms, row["timestamp_ms"])
        self.report.n_rows += 1
        self._to_tree(seq, leaf, stored)

    def _head(self) -> Json:
        return self.heads[self.at_head]

    def _in_order(self, seq: int, offset: int) -> None:
        expected = self.next_seq
        if seq > expected:
            self.fault("missing", expected, seq - 1, "the rows before and after them are there")
        elif seq < expected:
            self.fault("order", seq, seq, f"it stands where row {expected} is expected")
        elif offset <= self.offset:
            self.fault("order", seq, seq, f"offset {offset} stands behind {self.offset}")

    def _sealed(self, row: Json) -> bytes:
        try:
            value = None if row["value"] is None else b64decode(row["value"], validate=True)
            json.dumps(row["headers"])
        except (ValueError, RecursionError):
            return b""  # nothing that was sealed: it does not follow
        return _canonical(
            {
                "headers": row["headers"],
                "key": row["key"],
                "offset": row["offset"],
                "partition": self.partition,
                "run": self.of["run"],
                "seq": row["seq"],
                "stack": self.of["stack"],
                "timestamp_ms": row["timestamp_ms"],
                "value_sha256": None if value is None else hashlib.sha256(value).hexdigest(),
            }
        )

    def _columns(self, row: Json) -> None:
        """Compare the columns that rows are found by with the bytes."""
        said = _said(row["value"])
        columns: Json = row["columns"]
        if said is None:
            wrong = [name for name, value in columns.items() if value is not None]
        else:
            wrong = [name for name in said if not _equal(name, columns.get(name), said[name])]
        if more := sorted(columns.keys() - _COLUMNS):
            self.fault("column", row["seq"], row["seq"], f"columns that no row has: {more}")
        if wrong:
            told = ", ".join(f"{name} {columns.get(name)!r}" for name in wrong)
            why = f"{told}: the bytes say {'nothing' if said is None else [said[n] for n in wrong]}"
            self.fault("column", row["seq"], row["seq"], why)

    def _to_tree(self, seq: int, leaf: bytes, stored: bytes) -> None:
        while self.at_head < len(self.heads) and self._head()["last_seq"] < seq:
            self._close(None)
        if self.at_head < len(self.heads) and self._head()["first_seq"] <= seq:
            self.leaves.append(leaf)
            if seq == self._head()["last_seq"]:
                self._close(stored)

    def _close(self, stored: bytes | None) -> None:
        """Compare the rows of a head with it; wrong rows are not told twice."""
        head, leaves = self._head(), self.leaves
        self.at_head, self.leaves = self.at_head + 1, []
        first, last = head["first_seq"], head["last_seq"]
        if any(first <= seq <= last for seq in self.broken):
            return
        if _root(leaves).hex() != head["root"] or stored is None or stored.hex() != head["chain"]:
            why = f"head {head['number']} signed other rows: these were rewritten with their links"
            self.fault("rewritten", first, last, why)

    def end(self) -> None:
        """Look for what should have come after the last row."""
        reached = self.next_seq - 1
        signed = self.heads[-1]["last_seq"] if self.heads else -1
        if signed > reached:
            why = f"head {self.heads[-1]['number']} signed them: the end is cut off"
            self.fault("missing", reached + 1, signed, why)
            first = self._head()["first_seq"] if self.leaves else reached + 1
            if first <= reached:
                why = "their head signed them with rows that are missing"
                self.fault("unproved", first, reached, why)
        self.report.n_unsealed += max(reached - signed, 0)
        first_ms, last_ms = self.bare_ms or (0, 0)
        if self.n_bare and last_ms - first_ms > _UNSEALED_MS:
            why = "no signed head vouches for them"
            if not self.heads:
                why += ": the heads were taken away"
            self.fault("unsealed", max(signed + 1, self.next_seq - self.n_bare), reached, why)
        elif self.n_bare and not self.heads:
            self.report.headless.append(self.partition)

    def compare(self, own: list[bytes]) -> None:
        """Tell which heads that are known elsewhere the bundle lacks, where it has their rows."""
        lines = set(own)
        for head in self.heads:
            if head["last_seq"] < self.next_seq and _canonical(head) not in lines:
                why = f"head {head['number']} is known elsewhere, and the bundle has it not"
                self.fault("head", head["first_seq"], head["last_seq"], why)


def _widened(span: tuple[int, int] | None, at: int) -> tuple[int, int]:
    first, last = span or (at, at)
    return min(first, at), max(last, at)


def _said(value: str | None) -> Json | None:
    """Return what the bytes say for the columns; None if they are no decision."""
    try:
        found = json.loads(b64decode(value or ""))
        said = {
            "decision_id": str(UUID(found["decision_id"])),
            **{name: found[name] for name in _TEXTS},
            "bar_close": datetime.fromisoformat(found["timestamp"]),
            "action": found["action"],
            "quantity": found["quantity"],
            "approved": found["approved"],
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    is_readable = (
        all(isinstance(said[name], str) and "\0" not in said[name] for name in _TEXTS)
        and said["action"] in _ACTIONS
        and type(said["quantity"]) in {int, float}
        and isinstance(said["approved"], bool)
        and said["bar_close"].tzinfo is not None
    )
    return said if is_readable else None


def _equal(name: str, column: Any, said: Any) -> bool:  # noqa: ANN401  any JSON value
    if name != "bar_close":
        return bool(column == said)
    try:
        return bool(abs(datetime.fromisoformat(column) - said) <= _ROUNDING)
    except (TypeError, ValueError):
        return False


def _canonical(document: Json) -> bytes:
    """Encode text, whole numbers and lists of them as RFC 8785 does; names are ASCII."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="surrogatepass")


def _root(leaves: list[bytes]) -> bytes:
    """Return the root by the recursion of RFC 6962, section 2.1."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else hashlib.sha256().digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + _root(leaves[:split]) + _root(leaves[split:])).digest()


def tell(report: Report, out: TextIO, *, has_own_heads: bool = True) -> None:
    """Say what came out."""
    out.writelines(f"{fault}\n" for fault in report.faults[:_SAID_MAX])
    if len(report.faults) > _SAID_MAX:
        out.write(f"... and {len(report.faults) - _SAID_MAX} more\n")
    verdict = {
        HOLDS: "all hold",
        FAULTS: f"{len(report.faults)} faults",
        NO_HEAD_YET: NO_HEAD_YET,
        KEY_UNKNOWN: "it holds in itself, but nothing says whose key it is",
    }[report.state()]
    out.write(
        f"{report.n_rows:,} rows, {report.n_heads:,} signed heads: {verdict}. "
        f"{report.n_unsealed:,} rows at the end have no head yet, {report.n_left_out:,} before it "
        "are left out.\n"
        f"Keys taken: {', '.join(report.keys)}; compare with those that you know.\n"
    )
    if report.is_own_key:
        out.write(
            "That key is the bundle's own: whoever writes a trail anew puts his key there. Verify "
            "with --key and a copy of public.pem of the stack's folder audit, from elsewhere.\n"
        )
    if report.headless:
        out.write(
            f"Nothing is proved of partitions {', '.join(map(str, report.headless))}: they have no "
            "signed head. A trail gets its first one when its first minute is over; verify again "
            "after two minutes. If it is older, its heads were taken away.\n"
        )
    elif not has_own_heads:
        out.write(
            "The heads are the bundle's own: that rows and heads were not cut off together at the "
            "end is shown by --heads from elsewhere alone.\n"
        )


def _said_of(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; expected a file that can be read"
    if isinstance(error, zipfile.BadZipFile | zlib.error | EOFError):
        return f"{error or 'it ends too soon'}; expected {_EXPECTED}, whole"
    return str(error) if isinstance(error, ValueError) else repr(error)


def main(arguments: list[str]) -> int:
    """Verify the bundle that is named and say what came out."""
    parser = argparse.ArgumentParser(description="Verify an exported audit trail of Tradewind.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument(
        "--key",
        type=Path,
        action="append",
        default=[],
        help="public key, PEM, from elsewhere than the bundle",
    )
    parser.add_argument(
        "--heads", type=Path, action="append", help="heads from elsewhere, JSON lines"
    )
    parser.add_argument(
        "--excerpt", action="store_true", help="it was exported from a later day on"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(arguments)
    try:
        keys = [path.read_bytes() for path in asked.key]
        report = verify(asked.bundle, keys, asked.heads, excerpt=asked.excerpt)
    except _UNREADABLE as error:
        sys.stderr.write(f"{asked.bundle} cannot be verified: {_said_of(error)}\n")
        return 2
    if asked.json:
        said = {**vars(report), "faults": [vars(fault) for fault in report.faults]}
        said |= {"holds": report.holds(), "state": report.state()}
        sys.stdout.write(json.dumps(said) + "\n")
    else:
        tell(report, sys.stdout, has_own_heads=bool(asked.heads))
    return _STATUS[report.state()]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
