"""Every decoder of bytes that other programs, an older version or a disk can have written.

A decoder is called as the product calls it. It may refuse by the errors that are named here; any
other exception would end a worker, and it would end again at the same record.
"""

import json

import msgspec

from agents.bars import _CLOCK_RECORD
from models.risk.account import open_account
from streams.audit import NO_HEAD, AuditHead, read_head
from streams.codec import StateError
from streams.errors import RecordError
from streams.instructions import read_instruction, read_venue_execution
from streams.partitions import symbols_of
from streams.records import read_json
from streams.slices import Slice
from streams.ticks import Placement, read_ticks, tick_bytes
from streams.transport import Outgoing
from tables.bars import BarsKept
from tables.book import StoredAccount, decode_account, encode_account
from tables.stamped import Stamped
from tables.stores.blocks import any_behind, block, header_at, whole
from tables.stores.errors import SegmentDamaged
from tables.stores.spill import read_record
from tables.views.decision_row import decode_decision
from tests.builders import MIDNIGHT, bars, meta, proposal
from tests.fuzz.decoder import Decoder
from tests.fuzz.told_decoders import OTHERS
from tests.oracles import rules_of
from tests.unit.tables.views.played import decision

SYMBOLS = ("AAA", "BBB", "CCC")
_HERE = Placement(0, 2, frozenset(SYMBOLS), frozenset(symbols_of(0, SYMBOLS, 2)))


def _read_ticks(value: bytes) -> object:
    return [(item, tick_bytes(value, item[0])) for item in read_ticks(value, _HERE)]


def _read_slice(value: bytes) -> object:
    """Read a slice as risk does, all columns of it."""
    slice_ = Slice.decode(value)
    numbers = [slice_.floats(name) for name in ("close", "fill_price", "target_fraction")]
    tables = [slice_.matrix(name) for name in ("features", "regime", "weights")]
    return slice_.key, slice_.symbols(), slice_.rows(), numbers, tables


def _json(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def _ticks() -> tuple[bytes, ...]:
    trade = _json(symbol="AAA", ts_event=MIDNIGHT, price=1.5, size=2, trade_id="7", venue="X")
    quote = _json(type="quote", symbol="BBB", ts_event="2026-01-05T14:30:00Z", bid=1, ask=2)
    bar = _json(type="bar", symbol="CCC", ts_event=MIDNIGHT, open=1, high=2, low=1, close=2)
    return trade, quote, bar, b"[" + trade + b"," + quote + b"]"


def _instructions() -> tuple[bytes, ...]:
    said = {"portfolio": "main", "ts_event": MIDNIGHT}
    by = {"change_id": "c", "actor": "ann", "role": "admin", "reason": "why"}
    order = {"intent_id": "k", "symbol": "AAA", "side": "BUY", "quantity": 2, "price": 1.5}
    position = {"symbol": "AAA", "quantity": -2, "price": 1}
    return (
        _json(record="order_intent", **said, **order),
        _target(),
        _decided(),
        _json(record="limit_change", **said, **by, limits={"max_leverage": 1, "restricted": ["A"]}),
        _json(record="trading_state", **said, **by, action="halt", scope="symbol", name="AAA"),
        _json(record="book_open", **said, **by, cash="1.5", positions=[position]),
        _json(record="split", **said, **by, symbol="AAA", new=2, old=1),
        _json(record="risk_parity", **said, **by, weights={"AAA": 0.5, "BBB": 0.5}),
    )


def _target() -> bytes:
    names = {"intent_id": "k", "symbol": "AAA", "epoch_digest": "e", "bar_close": MIDNIGHT}
    wish = {"confidence": 0.6, "target_fraction": 0.1, "features": [None, 1.5]}
    why = {"regime": [0.5, 0.25, 0.25, 1.5], "weights": [0.5, 0.5, 0]}
    return _json(
        record="target_intent", portfolio="main", ts_event=MIDNIGHT, **names, **wish, **why
    )


def _decided() -> bytes:
    made = decision(1, portfolio="main", symbol="AAA", intent_id="k")
    return _json(
        record="decided_intent",
        portfolio="main",
        ts_event=MIDNIGHT,
        intent_id="k",
        decision=msgspec.to_builtins(made),
    )


def _read_blocks(data: bytes) -> object:
    """Read a segment as a restart does: whole blocks, and whether any stands behind a torn one."""
    ends = [(offset, header.n_records) for offset, header in whole(data)]
    return ends, any_behind(data, 0), header_at(data, 0)


def _blocks() -> bytes:
    return b"".join(b"".join(block([b"one", b"two" * n], MIDNIGHT)) for n in range(1, 4))


def _head() -> bytes:
    return msgspec.json.encode(AuditHead(
        chain="00" * 32, first_seq=0, key_id="k", last_offset=9, last_seq=8, number=0, partition=0,
        previous=NO_HEAD, root="11" * 32, run="r", sealed_ms=7, stack="s",
    ))  # fmt: skip


def _execution() -> bytes:
    names = {"execution_id": "e", "decision_id": "d", "symbol": "AAA", "kind": "fill"}
    how = {"side": "BUY", "quantity": 1, "price": 2.5, "fee": 0, "currency": "USD", "venue": "X"}
    return _json(record="venue_execution", portfolio="main", ts_event=MIDNIGHT, **names, **how)


def _waiting() -> bytes:
    return msgspec.msgpack.encode(Outgoing("t", b"k", b"value", [("n", b"1")], 0))


def _slice() -> bytes:
    about = meta(MIDNIGHT)
    return proposal(bars(about, {"AAA": 1.0}, SYMBOLS), {"AAA": (0.6, 0.1)}).encode()


def _account() -> bytes:
    account = open_account(10**20, dict.fromkeys(SYMBOLS, 10**8), rules_of(SYMBOLS))
    return encode_account(StoredAccount((0, 0), "", 0, account.kept), account.scenarios.earned)


_RECORD = (RecordError,)
_STATE = (StateError,)

DECODERS = (
    Decoder("ticks", _read_ticks, (), _ticks()),
    Decoder(
        "clock",
        lambda value: read_json(_CLOCK_RECORD, value),
        _RECORD,
        (
            _json(type="heartbeat", clock_id="c", n=1, ts_event_ns=MIDNIGHT),
            _json(type="epoch", clock_id="c", epoch=1, digest="0" * 64, from_close_ns=0),
        ),
    ),
    Decoder("instructions", read_instruction, _RECORD, _instructions()),
    Decoder("venue-executions", read_venue_execution, _RECORD, (_execution(),)),
    Decoder("slices", _read_slice, _RECORD, (_slice(),)),
    Decoder("bars' state", BarsKept.decode, _STATE, (BarsKept().encode(),)),
    Decoder("account's state", decode_account, _STATE, (_account(),)),
    Decoder("decisions", decode_decision, _RECORD, (msgspec.json.encode(decision(1)),)),
    Decoder("audit heads", read_head, (ValueError,), (_head(),)),
    Decoder("outage buffer", read_record, (SegmentDamaged,), (_waiting(),)),
    Decoder("segments", _read_blocks, (), (_blocks(),)),
    Decoder("stamps", Stamped.decode, (), (Stamped(7, b"state").encode(),)),
    *OTHERS,
)
