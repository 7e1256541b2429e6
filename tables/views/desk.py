"""What the endpoints ask of the process that they run in: the books it holds, and their log."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from models.risk.account import Account
from streams.ids import intent_decision_id
from streams.instructions import INTENT, TargetIntent
from streams.timestamps import format_ns
from tables.decisions import Slot
from tables.epochs import LoadedEpoch
from tables.recent import RecentBars, SeenRow
from tables.stores.cached_row import CachedRow
from tables.views.auth import ALL_PORTFOLIOS
from tables.views.problems import ProblemError, not_ready, unknown, wrong
from tables.views.routes import Call, Owner

# Decisions about intents that can be given again for their key; 3 kB each.
MOST_REMEMBERED = 5_000


class Book(Protocol):
    """One portfolio as the records folded so far have left it."""

    epoch_digest: str
    slot: Slot
    account: Account
    recent: RecentBars


class Place(NamedTuple):
    """Where a portfolio's log is, and up to where it was folded."""

    partition: int
    next_offset: int


class Part(NamedTuple):
    """One part that serving needs: whether it is well, and what is the case."""

    name: str
    is_well: bool
    detail: str
    is_needed: bool = True


class Desk(Protocol):
    """The process that owns some portfolios, or knows who does."""

    def owner(self, portfolio: str) -> str:
        """Return the address of the process that owns a portfolio; empty if this one does.

        Raises
        ------
        ProblemError
            503 while nobody is known to own it.
        """

    def symbol_owner(self, symbol: str) -> str:
        """Return the address of the process that folds a symbol's bars; empty if this one does.

        It raises as :meth:`owner`.
        """

    def informed(self) -> str:
        """Return the address of a process that may know what this one does not yet.

        Empty if an epoch was seen here; otherwise that of another worker, each in its turn.

        Raises
        ------
        ProblemError
            503 if there is no other.
        """

    def book(self, portfolio: str) -> tuple[Book, Place]:
        """Return a portfolio that this process owns.

        Raises
        ------
        ProblemError
            404 if no epoch has it, 503 if no bar has reached it yet.
        """

    def portfolios(self) -> list[str]:
        """Return all portfolios, in order; none while this process has seen no epoch."""

    def epoch(self, digest: str) -> LoadedEpoch:
        """Return an epoch with its models."""

    def running(self) -> LoadedEpoch:
        """Return the epoch that decides now, as far as this process knows.

        Raises
        ------
        ProblemError
            503 if no bar has come here yet.
        """

    def longer(self, symbol: str, timeframe: str) -> CachedRow | None:
        """Return a symbol's features at its last closed bar of a longer timeframe; None before."""

    async def decide(self, said: TargetIntent, headers: Mapping[str, str]) -> bytes:
        """Append a target to its book's log and return its decision, once the broker has it.

        Raises
        ------
        ProblemError
            What the book refused to take, and whatever kept it from being asked.
        """

    def parts(self) -> list[Part]:
        """Say how everything is that answers depend on."""


def portfolio_of(desk: Desk, call: Call) -> str:
    """Return the portfolio that a request is about: the one it names, or the only one it can mean.

    Raises
    ------
    ProblemError
        422 if it names none and could mean several, 403 if it is none of the caller's.
    """
    name: str | None = call.asked.portfolio
    if name is None:
        own = call.caller.portfolios
        mine = desk.portfolios() if ALL_PORTFOLIOS in own else list(own)
        if not mine:
            raise not_ready("NO_EPOCH", "no portfolio is known here yet; name one")
        if len(mine) != 1:
            fits = f"one of {', '.join(mine) or 'none yet'}"
            raise wrong("MISSING_FIELD", "portfolio", None, fits)
        name = mine[0]
    if not call.caller.may_see(name):
        raise ProblemError(403, "FORBIDDEN", f"portfolio {name!r} is none of the token's")
    return name


def unknown_portfolio(name: str) -> ProblemError:
    """Return the problem of a portfolio that no epoch has."""
    return unknown("UNKNOWN_PORTFOLIO", "portfolio", name, "a portfolio of the running epoch")


def unknown_symbol(symbol: str, portfolio: str) -> ProblemError:
    """Return the problem of a symbol that a portfolio does not trade."""
    expected = f"one of the universe of portfolio {portfolio!r}"
    return unknown("UNKNOWN_SYMBOL", "symbol", symbol, expected)


def owner_by(desk: Desk) -> Owner:
    """Return who owns the portfolio that a request is about."""

    def owner(call: Call) -> str:
        return portfolio_owner(desk, call)

    return owner


def portfolio_owner(desk: Desk, call: Call) -> str:
    """Return who owns the portfolio that a request is about, or who may know which one it is."""
    could_be_any = call.asked.portfolio is None and ALL_PORTFOLIOS in call.caller.portfolios
    if could_be_any and (other := desk.informed()):
        return other
    return desk.owner(portfolio_of(desk, call))


def refuse_decided(book: Book, record_id: str) -> None:
    """Say where the decision about an intent is that this process no longer remembers.

    Raises
    ------
    ProblemError
        409 if the book knows the record by its id, :attr:`TargetIntent.id`.
    """
    memory = book.account.kept.memory
    if not memory.is_known(record_id):
        return
    key = record_id.removeprefix(INTENT)
    decided = intent_decision_id(book.slot.portfolio.id, key, memory.ids[record_id])
    raise ProblemError(
        409,
        "DECIDED_BEFORE",
        f"the key {key!r} has its decision, {decided}, from before this worker started; read it "
        f"at /api/v1/decisions/{decided}",
        headers={"Location": f"/api/v1/decisions/{decided}"},
    )


def row_of(book: Book, symbol: str, close_ns: int | None = None) -> SeenRow:
    """Return what the stages said about a symbol, in the newest bar decided or in a given one.

    Raises
    ------
    ProblemError
        404 if the portfolio does not trade it, 409 if no kept bar has it, 422 if the bar is not
        kept.
    """
    account = book.account
    if symbol not in account.scenarios.index:
        raise unknown_symbol(symbol, book.slot.portfolio.id)
    until_ns = account.kept.bar_ns
    if close_ns is None:
        row = book.recent.newest(symbol, until_ns)
    else:
        kept = book.recent.closes_ns(until_ns)
        if close_ns not in kept:
            expected = f"the close of a kept bar: {', '.join(map(format_ns, kept)) or 'none yet'}"
            raise wrong("BAR_NOT_KEPT", "timestamp", format_ns(close_ns), expected)
        row = book.recent.row(symbol, close_ns)
    if row is None:
        text = f"{symbol} did not trade in the bars that are kept"
        raise ProblemError(409, "NO_RECENT_BAR", text)
    return row
