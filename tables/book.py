"""What risk remembers of a portfolio: the account, its open orders, and the last bar decided."""

from typing import NamedTuple

from models.portfolio.ledger import Book, Position
from models.portfolio.reservation import OpenOrder, Reservations
from models.risk.barrier import BarKey
from models.risk.correlation import FloatArray
from models.risk.decide import AccountState
from streams.codec import pack_state, unpack_state


class _Kept(NamedTuple):
    """Snapshot form: money exceeds 64 bits, so it is kept as decimal text."""

    close_ns: int
    rank: int
    cash: str
    realised: str
    fees: str
    lot_sizes: dict[str, int]
    positions: dict[str, tuple[int, str, int]]
    orders: list[tuple[str, int, int, int]]
    window: FloatArray
    last_close: FloatArray


def encode_account(decided: BarKey, state: AccountState) -> bytes:
    """Return the snapshot of an account after the bar ``decided``."""
    book = state.book
    kept = _Kept(
        *decided,
        str(book.cash),
        str(book.realised),
        str(book.fees),
        book.lot_sizes,
        {s: (p.lots, str(p.cost), p.price_e8) for s, p in book.positions.items()},
        [(o.symbol, o.lots, o.placed_close_ns, o.bars_waited) for o in state.reservations.orders],
        state.window,
        state.last_close,
    )
    return pack_state(kept)


def decode_account(data: bytes) -> tuple[BarKey, AccountState]:
    """Read a snapshot: the last bar decided and the account after it."""
    kept = unpack_state(_Kept, data)
    positions = {
        symbol: Position(lots, int(cost), price)
        for symbol, (lots, cost, price) in kept.positions.items()
    }
    book = Book(int(kept.cash), kept.lot_sizes, positions, int(kept.realised), int(kept.fees))
    reservations = Reservations([OpenOrder(*order) for order in kept.orders])
    state = AccountState(book, reservations, kept.window, kept.last_close)
    return (kept.close_ns, kept.rank), state
