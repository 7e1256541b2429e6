"""A desk without Kafka: the fold of the book itself, asked directly."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agents.risk import KeptBook, RiskFold
from agents.stage import Output
from streams.dead_letters import DeadLetter
from streams.epochs import Portfolio
from streams.instructions import TargetIntent
from streams.topics import TRADING_DECISIONS
from tables.epochs import LoadedEpoch
from tables.stores.cached_row import CachedRow
from tables.views.desk import Part, Place
from tables.views.problems import ProblemError, not_ready
from tests.builders import FREE
from tests.unit.agents.test_risk_records import Book as Log

METADATA = {
    "symbols": ["AAA"],
    "seed": 1,
    "fit_version": 1,
    "code": None,
    "first_close_ns": 631_324_800_000_000_000,
    "last_close_ns": 1_514_592_000_500_000_000,
    "metrics": {"rank_ic": 0.01},
}


class Answering:
    """The books of a fold that has seen some bars.

    Parameters
    ----------
    root
        Directory of the artefacts.
    portfolios
        Whose books there are.
    """

    def __init__(self, root: Path, portfolios: tuple[str, ...] = ("main",), **limits: Any) -> None:  # noqa: ANN401  any limit
        given = tuple(
            Portfolio(id=name, limits=msgspec.structs.replace(FREE, **limits))
            for name in portfolios
        )
        self.log = Log(root, portfolios=given)
        self.names = portfolios
        self.appended: list[TargetIntent] = []
        self.headers: list[Mapping[str, str]] = []
        self.elsewhere = ""
        self.trouble = ""
        self.longer_rows: dict[tuple[str, str], CachedRow] = {}

    def bar(self, minute: int, price: float = 100.0, target: float = 0.05) -> None:
        """Let all books see a bar."""
        rows = dict.fromkeys(self.log.document.symbols(), (price, 0.6, target))
        for name in self.names:
            self.log.run.take(self.log.bar(minute, rows, name))

    @property
    def fold(self) -> RiskFold:
        """The fold."""
        fold = self.log.run.fold
        assert isinstance(fold, RiskFold)
        return fold

    def owner(self, _portfolio: str) -> str:
        """Say who owns it."""
        return self.elsewhere

    def symbol_owner(self, _symbol: str) -> str:
        """Say who folds a symbol's bars."""
        return self.elsewhere

    def informed(self) -> str:
        """Give another worker, while no epoch was seen here."""
        if self.fold.latest is not None:
            return ""
        if not self.elsewhere:
            raise not_ready("NO_EPOCH", "no bar yet")
        return self.elsewhere

    def running(self) -> LoadedEpoch:
        """Give the epoch, once one was seen."""
        if self.fold.latest is None:
            raise not_ready("NO_EPOCH", "no bar yet")
        return self.fold.latest

    def longer(self, symbol: str, timeframe: str) -> CachedRow | None:
        """Give what a test has put there."""
        return self.longer_rows.get((symbol, timeframe))

    def book(self, portfolio: str) -> tuple[KeptBook, Place]:
        """Give a book, as a worker does."""
        book = self.fold.portfolios.get(portfolio)
        if book is None:
            if portfolio not in self.names:
                raise ProblemError(404, "UNKNOWN_PORTFOLIO", f"there is no {portfolio!r}")
            raise not_ready("NO_BOOK", "no bar yet")
        return book, Place(0, self.fold.next_offset)

    def portfolios(self) -> list[str]:
        """Give the names of the epoch, once one was seen."""
        return [] if self.fold.latest is None else list(self.names)

    def epoch(self, digest: str) -> LoadedEpoch:
        """Give an epoch whose models say where they come from."""
        loaded = self.log.epochs.load(digest)
        models = loaded.models._replace(metadata={**loaded.models.metadata, **METADATA})
        return loaded._replace(models=models)

    async def decide(self, said: TargetIntent, headers: Mapping[str, str]) -> bytes:
        """Fold the record and give its decision."""
        self.appended.append(said)
        self.headers.append(headers)
        fields = msgspec.to_builtins(said)
        sent = self.log.give(self.log.say(fields.pop("record"), said.portfolio, **fields))
        for output in sent:
            if isinstance(output, DeadLetter):
                raise ProblemError(422, output.reason, output.detail)
            if isinstance(output, Output) and output.topic == TRADING_DECISIONS.name:
                return output.value
        raise ProblemError(409, "DECIDED_BEFORE", "asked before")

    def parts(self) -> list[Part]:
        """Say how it is."""
        redis = Part("redis", is_well=False, detail="not there", is_needed=False)
        return [Part("broker", not self.trouble, self.trouble or "answers"), redis]
