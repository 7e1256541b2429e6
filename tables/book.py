"""What risk remembers of a portfolio: the account, its open orders, and the last bar decided."""

from typing import Any, NamedTuple

import msgspec

from models.portfolio.ledger import Book, Position
from models.portfolio.reservation import OpenOrder, Reservations
from models.portfolio.witness import Witness
from models.risk.account import Day, Kept
from models.risk.barrier import BarKey
from models.risk.correlation import FloatArray
from models.risk.feed import Feed
from models.risk.flow import OrderFlow, Sent
from models.risk.memory import Memory, Taken
from models.risk.switches import Switch, Switches, SwitchState
from streams.codec import StateError, pack_state, unpack_state


class StoredAccount(NamedTuple):
    """An account as it was kept: the last bar decided, and the epoch by whose rules it went on.

    ``epoch`` is that epoch's number.
    """

    decided: BarKey
    epoch_digest: str
    epoch: int
    kept: Kept


class _Stored(NamedTuple):
    """Snapshot form: money exceeds 64 bits, so it is kept as decimal text.

    The day of an intent's id has the checksum of its decision beside it.
    """

    close_ns: int
    rank: int
    epoch_digest: str
    epoch: int
    cash: str
    realised: str
    fees: str
    lot_sizes: dict[str, int]
    positions: dict[str, tuple[int, str, int]]
    orders: list[tuple[str, int, int, int, str, str, int]]
    witness: tuple[str, dict[str, int]]
    day: tuple[int, str, str]
    clock: tuple[int, int]
    priced_ns: dict[str, int]
    sent: list[tuple[int, str, str, int, int]]
    n_today: int
    switches: dict[str, tuple[SwitchState, str, str, int]]
    day_known: int
    ids: dict[str, int | tuple[int, int]]
    executions: dict[str, tuple[int, str, str, int, int, str]]
    changed: dict[str, Any]
    parity: dict[str, float]
    feed: list[tuple[int, int, int]]
    window: FloatArray
    last_close: FloatArray
    earned: FloatArray


def encode_account(account: StoredAccount, earned: FloatArray) -> bytes:
    """Return the snapshot of an account.

    ``earned`` is the running scenario vector: made anew it could differ in the last bit.
    """
    kept = account.kept
    book, day = kept.book, kept.day
    stored = _Stored(
        *account.decided,
        account.epoch_digest,
        account.epoch,
        str(book.cash),
        str(book.realised),
        str(book.fees),
        book.lot_sizes,
        {s: (p.lots, str(p.cost), p.price_e8) for s, p in book.positions.items()},
        [msgspec.structs.astuple(order) for order in kept.reservations.orders],
        (str(kept.witness.cash), kept.witness.lots),
        (day.number, str(day.open_equity), str(day.peak_equity)),
        (kept.now_ns, kept.bar_ns),
        kept.priced_ns,
        [(*sent,) for sent in kept.flow.recent],
        kept.flow.n_today,
        {key: (*switch,) for key, switch in kept.switches.thrown.items()},
        kept.memory.day,
        _with_decided(kept.memory),
        {
            one: (t.day, t.order_id, t.symbol, t.lots, t.price_e8, str(t.fee))
            for one, t in kept.memory.executions.items()
        },
        kept.changed,
        kept.parity,
        list(kept.feed.bars),
        kept.window,
        kept.last_close,
        earned,
    )
    return pack_state(stored)


def decode_account(data: bytes) -> StoredAccount:
    """Read a snapshot: the last bar decided and the account after it.

    Raises
    ------
    StateError
        If the bytes are none.
    """
    stored = unpack_state(_Stored, data)
    try:
        return _account(stored)
    except (AttributeError, TypeError, ValueError) as error:
        raise StateError(f"{len(data)} bytes are no snapshot of an account: {error}") from error


def _account(stored: _Stored) -> StoredAccount:
    positions = {
        symbol: Position(lots, int(cost), price)
        for symbol, (lots, cost, price) in stored.positions.items()
    }
    book = Book(int(stored.cash), stored.lot_sizes, positions, int(stored.realised))
    book.fees = int(stored.fees)
    number, opened, peak = stored.day
    restricted = stored.changed.get("restricted")
    kept = Kept(
        book,
        Witness(int(stored.witness[0]), stored.witness[1]),
        Reservations(OpenOrder(*order) for order in stored.orders),
        stored.window,
        stored.last_close,
        Day(number, int(opened), int(peak)),
        stored.earned,
        *stored.clock,
        stored.priced_ns,
        OrderFlow(tuple(Sent(*sent) for sent in stored.sent), stored.n_today),
        Switches({key: Switch(*switch) for key, switch in stored.switches.items()}),
        _memory(stored),
        stored.changed | ({} if restricted is None else {"restricted": tuple(restricted)}),
        stored.parity,
        Feed(tuple((close_ns, n_in, n_bad) for close_ns, n_in, n_bad in stored.feed)),
    )
    return StoredAccount((stored.close_ns, stored.rank), stored.epoch_digest, stored.epoch, kept)


def _with_decided(memory: Memory) -> dict[str, int | tuple[int, int]]:
    decided = memory.decided
    return {one: (of, decided[one]) if one in decided else of for one, of in memory.ids.items()}


def _memory(stored: _Stored) -> Memory:
    executions = {one: Taken(*taken[:5], int(taken[5])) for one, taken in stored.executions.items()}
    ids = {one: of if isinstance(of, int) else of[0] for one, of in stored.ids.items()}
    decided = {one: of[1] for one, of in stored.ids.items() if not isinstance(of, int)}
    return Memory(stored.day_known, ids, executions, decided)
