"""The decoders of what our own parts tell each other behind the decisions, and of what they keep.

An older version, a disk or a foreign Redis can have written it all the same.
"""

import zlib
from functools import partial
from typing import Any, cast

import cramjam
import msgspec

from agents.recheck import _SNAPSHOT
from agents.signals import SPECS, SignalsKept, fold_of
from agents.slice_stage import SliceSpec, _Kept
from agents.taken_back import _UPDATE
from streams.codec import StateError, pack_state, unpack_state
from streams.errors import RecordError
from streams.records import read_json
from streams.rollouts import FeatureFlag
from tables.account_rows import snapshot_rows
from tables.archive import RunKey
from tables.epochs import Epochs
from tables.explanations import NO_BARS, explanation, explanation_rows, pack_bars, unpack_bars
from tables.rollout import read_stage_record, state_event
from tables.stamped import Stamped
from tables.stores.cached_row import ALONE, CachedRow
from tables.views.account_history import AccountHistory
from tests.builders import MIDNIGHT
from tests.fuzz.decoder import Decoder
from tests.rollout_worlds import account
from tests.unit.streams.test_model_updates import refused_update
from tests.unit.tables.test_rollout import advanced, begun
from tests.unit.tables.views.played import decision, snapshot

_OF = RunKey("s", "r")
_N_SYMBOLS = 2


def _compressed(packed: bytes) -> bytes:
    """Compress what was damaged: else hardly anything that comes out would be damaged."""
    return bytes(cramjam.zstd.compress(packed, level=1))


def _packed(state: bytes) -> bytes:
    return bytes(cramjam.zstd.decompress(state))


def _read_chunk(spec: SliceSpec[Any], state: bytes) -> object:
    """Read the snapshot of a chunk as a restart does."""
    kept = unpack_state(_Kept, state)
    fold = fold_of(spec, cast(Epochs, None), 0, _no_snapshot)
    return kept, fold.unpacked(kept.state, _N_SYMBOLS)


def _no_snapshot(_key: bytes) -> Stamped | None:
    return None


def _read_signals(state: bytes) -> object:
    kept = unpack_state(SignalsKept, state)
    return [_read_chunk(spec, getattr(kept, spec.name)) for spec in SPECS]


def _read_state(spec: SliceSpec[Any], packed: bytes) -> object:
    return _read_chunk(spec, pack_state(_Kept(MIDNIGHT, 0, 0, 1, _compressed(packed))))


def _chunk(spec: SliceSpec[Any]) -> bytes:
    return pack_state(_Kept(MIDNIGHT, 0, 0, 1, pack_state(spec.initial(_N_SYMBOLS))))


def _signals() -> bytes:
    return pack_state(SignalsKept(**{spec.name: _chunk(spec) for spec in SPECS}))


def _states() -> tuple[Decoder, ...]:
    """Return a decoder of the bytes inside the snapshot of each stage of a symbol."""
    return tuple(
        Decoder(
            f"state of {spec.name}",
            partial(_read_state, spec),
            _STATE,
            (_packed(pack_state(spec.initial(_N_SYMBOLS))),),
        )
        for spec in SPECS
    )


def _read_row(value: bytes) -> object:
    """Read a row of Redis, also with the checksum that belongs to it."""
    body = value[4:]
    return CachedRow.unpack(value) or CachedRow.unpack(
        zlib.crc32(body).to_bytes(4, "little") + body
    )


def _read_account(value: bytes) -> object:
    """Read an account as its row in SQL is made, and as it is checked again."""
    return read_json(_SNAPSHOT, value), snapshot_rows(_OF, value)


def _explanations() -> tuple[bytes, ...]:
    """Return one, and one of a later version: a field that nobody reads is kept all the same."""
    made = msgspec.json.encode(explanation(decision(1), "order", None, None))
    return made, made[:-1] + b',"later":"' + b"x" * len(made) + b'"}'


def _rollouts() -> tuple[bytes, ...]:
    flag = FeatureFlag(
        timestamp="2026-01-01T00:00:00Z", name="auto-advance", is_on=False, by="me", reason=""
    )
    said = (state_event(begun()), state_event(advanced(begun())), flag)
    return tuple(msgspec.json.encode(one) for one in said)


_RECORD = (RecordError,)
_STATE = (StateError,)

OTHERS = (
    Decoder("explanations", partial(explanation_rows, _OF), _RECORD, _explanations()),
    Decoder("portfolio-snapshots", _read_account, _RECORD, (msgspec.json.encode(account(1)),)),
    Decoder(
        "portfolio-snapshots on a page",
        lambda value: AccountHistory().add(value),
        _RECORD,
        (msgspec.json.encode(snapshot("2026-01-05T14:30:00Z", "1000000.5")),),
    ),
    Decoder(
        "model-updates",
        partial(read_json, _UPDATE),
        _RECORD,
        (msgspec.json.encode(refused_update()),),
    ),
    Decoder("rollout-stages", read_stage_record, _RECORD, _rollouts()),
    Decoder("explain's bars", unpack_bars, _STATE, (pack_bars({"AAA": NO_BARS, "B": NO_BARS}),)),
    Decoder("signals' state", _read_signals, _STATE, (_signals(),)),
    *_states(),
    Decoder("rows of Redis", _read_row, (), (CachedRow(MIDNIGHT, (1.5, 2.5)).pack(ALONE.mark()),)),
)
