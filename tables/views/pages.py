"""The pages: each reads the run's memory, one of them also one record of the log."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from aiohttp import web

from streams.epochs import Limits
from streams.errors import RecordError
from streams.records import Decision
from streams.timestamps import format_ns
from tables.stores.decision_log import LogAway, LogRecord, RecordGone
from tables.views.auth import Caller
from tables.views.behind import NOTHING, Behind
from tables.views.decision_detail import detail
from tables.views.decision_index import IDS_MAX, ROWS_MAX
from tables.views.decision_row import (
    VERDICTS,
    DecisionRow,
    decode_decision,
    is_decision_id,
)
from tables.views.figures import line_curve
from tables.views.guard import FOLLOWING, WITH_A_FORM, Message, MessageError
from tables.views.market_chart import market_chart
from tables.views.market_history import Market
from tables.views.query import FILTERS, QueryError, parse_market, parse_query
from tables.views.reasons import Reasons
from tables.views.request_log import VIEWER
from tables.views.run_log import Log
from tables.views.run_memory import RunMemory
from tables.views.sessions import sees_all
from tables.views.templates import render, script, style_sheet
from tables.views.utilisation import asset_limit, utilisation

# About two screens.
PAGE_ROWS = 50
LIVE_S = 5

_CURVE_SIZE = (720.0, 120.0)
# Suggestions beyond this help nobody and make every page heavy.
_SUGGESTIONS_MAX = 200
_SHOWN_CONFLICTS = 5
_VALUE_CHARACTERS = 100
# A snapshot of before limits were told in them: the one that every portfolio starts with.
_ASSET_LIMIT = Limits().max_asset_fraction


@dataclass(frozen=True, slots=True)
class About:
    """What the header says of the run; texts that are empty are left out."""

    run: str
    label: str = ""
    stats_url: str = ""

    @property
    def run_name(self) -> str:
        """Name for people: the run without a prefix is the live one."""
        return self.run or "live"


@dataclass(frozen=True, slots=True)
class Pages:
    """Handlers of all addresses."""

    about: About
    memory: RunMemory
    log: Log
    behind: Behind = NOTHING

    async def decisions(self, request: web.Request) -> web.Response:
        """Answer ``/``."""
        try:
            asked = parse_query(list(request.query.items()))
        except QueryError as error:
            raise MessageError(_bad_query(error)) from error
        viewer = request[VIEWER]

        def wanted(row: DecisionRow) -> bool:
            return asked.wants(row) and viewer.may_see(row.portfolio)

        page = self.memory.decisions.page(wanted, asked.before, PAGE_ROWS)
        return self.page(
            request,
            "decisions.html",
            here="/",
            page=page,
            asked=asked,
            query={name: getattr(asked, name) for name in FILTERS},
            choices=self._choices(viewer),
            rows_max=ROWS_MAX,
            live_s=LIVE_S,
            page_rows=PAGE_ROWS,
            follow_link=asked.follow_link(self.memory.tail.position()),
            follows=asked.live,
        )

    async def decision(self, request: web.Request) -> web.Response:
        """Answer ``/decisions/{id}``."""
        decision, record = await self._found(request)
        why = await Reasons(self.behind.reader, self.behind.home).of(decision, record)
        conflicts = self.memory.decisions.conflicts_of(decision.decision_id)
        shown = detail(decision, record, why)
        return self.page(request, "decision.html", own_conflicts=conflicts, **shown)

    async def event(self, request: web.Request) -> web.Response:
        """Answer ``/decisions/{id}/event``: the bytes of the event as they are on Kafka."""
        _, record = await self._found(request)
        return web.Response(body=record.value, content_type="application/json")

    async def market(self, request: web.Request) -> web.Response:
        """Answer ``/market``."""
        try:
            symbol, portfolio = parse_market(list(request.query.items()))
        except QueryError as error:
            raise MessageError(_bad_query(error)) from error
        viewer = request[VIEWER]
        markets = [each for each in self.memory.markets.markets() if viewer.may_see(each.portfolio)]
        if not markets:
            return self.page(request, "market.html", here="/market", chart=None)
        market = self._market(markets, symbol, portfolio)
        rows = self.memory.markets.rows(market)
        return self.page(
            request,
            "market.html",
            here="/market",
            market=market,
            symbols=sorted({each.symbol for each in markets}),
            portfolios=sorted({each.portfolio for each in markets}),
            n_left_out=len(self.memory.markets.left_out),
            rows=rows[::-1],
            chart=market_chart(rows),
        )

    async def portfolio(self, request: web.Request) -> web.Response:
        """Answer ``/portfolio``."""
        accounts = []
        for account in self.memory.accounts.curves():
            if not request[VIEWER].may_see(account.latest.portfolio):
                continue
            points = account.points()
            accounts.append(
                {
                    "latest": account.latest,
                    "used": utilisation(account.latest),
                    "limit": asset_limit(account.latest) or _ASSET_LIMIT,
                    "close": format_ns(account.latest_point.close_ns),
                    "curve": line_curve(points, *_CURVE_SIZE),
                    "first_close": format_ns(account.first_close_ns),
                    "n_drawn": len(points),
                    "n_seen": account.n_seen,
                }
            )
        return self.page(request, "portfolio.html", here="/portfolio", accounts=accounts)

    async def dead_letters(self, request: web.Request) -> web.Response:
        """Answer ``/dead-letters``."""
        if not sees_all(request[VIEWER]):
            raise MessageError(_NOT_YOURS)
        letters = self.memory.dead_letters.newest()
        return self.page(request, "dead_letters.html", here="/dead-letters", letters=letters)

    async def health(self, _request: web.Request) -> web.Response:
        """Answer ``/health``: 200 if the pages are up to date, else 503 with the reason."""
        status = self.log.status
        return web.json_response(
            {
                "status": status.state,
                "lag_records": status.lag_records,
                "decisions": self.memory.decisions.n_decided,
            },
            status=200 if status.state == "ok" else 503,
        )

    async def style(self, _request: web.Request) -> web.Response:
        """Answer ``/page.css``."""
        return web.Response(text=style_sheet(), content_type="text/css")

    async def script(self, _request: web.Request) -> web.Response:
        """Answer ``/live.js``."""
        return web.Response(text=script(), content_type="text/javascript")

    def message(
        self, request: web.Request, message: Message, row: DecisionRow | None = None
    ) -> web.Response:
        """Return a page that only says something, and the line it is about."""
        response = self.page(
            request,
            "message.html",
            title=message.title,
            message=message.message,
            advice=message.advice,
            row=row,
        )
        response.set_status(message.status)
        return response

    def page(self, request: web.Request, name: str, **context: Any) -> web.Response:  # noqa: ANN401  values of any template
        """Return a page, made of a template for whoever looks."""
        viewer = request.get(VIEWER)
        shared: dict[str, Any] = {
            "about": self.about,
            "memory": self.memory,
            "status": self.log.status,
            "conflicts": list(islice(reversed(self.memory.decisions.conflicts), _SHOWN_CONFLICTS)),
            "viewer": viewer,
            "sees_all": viewer is not None and sees_all(viewer),
            "here": "",
            "follows": False,
        }
        signs_out = viewer is None or bool(viewer.subject)
        shown = shared | context
        headers = (WITH_A_FORM if signs_out else {}) | (FOLLOWING if shown["follows"] else {})
        return web.Response(text=render(name, **shown), content_type="text/html", headers=headers)

    def _market(self, markets: list[Market], symbol: str, portfolio: str) -> Market:
        """Return the market that was asked for; of what was left open, that decided about last."""
        newest = self.memory.decisions.newest
        last = None if newest is None else Market(newest.symbol, newest.portfolio)
        fitting = [
            each
            for each in markets
            if symbol in ("", each.symbol) and portfolio in ("", each.portfolio)
        ]
        if not fitting:
            raise MessageError(_no_market(symbol, portfolio))
        return last if last in fitting else fitting[0]

    def _choices(self, viewer: Caller) -> list[tuple[str, str, list[str]]]:
        def values(of: Callable[[DecisionRow], tuple[str, ...]]) -> list[str]:
            return self.memory.decisions.values(
                lambda row: of(row) if viewer.may_see(row.portfolio) else ()
            )

        return [
            ("symbol", "Symbol", values(lambda row: (row.symbol,))[:_SUGGESTIONS_MAX]),
            ("action", "Action", ["BUY", "SELL", "HOLD"]),
            ("verdict", "Verdict", list(VERDICTS)),
            ("reason", "Reason code", values(lambda row: row.codes)[:_SUGGESTIONS_MAX]),
            ("portfolio", "Portfolio", values(lambda row: (row.portfolio,))[:_SUGGESTIONS_MAX]),
        ]

    async def _found(self, request: web.Request) -> tuple[Decision, LogRecord]:
        decision_id = request.match_info["id"].lower()
        if not is_decision_id(decision_id):
            raise MessageError(_bad_id(decision_id))
        try:
            if self.memory.decisions.find(decision_id) is None:
                await self.log.catch_up()
            place = self.memory.decisions.find(decision_id)
            if place is None:
                raise MessageError(self._unknown(decision_id))
            record = await self.log.fetch(self.memory.decisions_topic, *place)
            decision = decode_decision(record.value)
        except LogAway as error:
            raise self._remembered(request, decision_id, _RECORD_AWAY) from error
        except (RecordGone, RecordError) as error:
            raise self._remembered(request, decision_id, _RECORD_GONE) from error
        if decision.decision_id != decision_id:
            raise self._remembered(request, decision_id, _RECORD_GONE)
        if not request[VIEWER].may_see(decision.portfolio):
            raise MessageError(self._unknown(decision_id))
        return decision, record

    def _remembered(self, request: web.Request, decision_id: str, message: Message) -> MessageError:
        viewer = request[VIEWER]

        def wanted(row: DecisionRow) -> bool:
            return row.decision_id == decision_id and viewer.may_see(row.portfolio)

        page = self.memory.decisions.page(wanted, None, 1)
        return MessageError(message, page.rows[0] if page.rows else None)

    def _unknown(self, decision_id: str) -> Message:
        waiting = self.log.status.state != "ok"
        return Message(
            404,
            "Unknown decision",
            f"Run {self.about.run_name} has no decision {decision_id} among the newest "
            f"{IDS_MAX:,}" + (", as far as the log was read yet." if waiting else "."),
            "Check the id and the run; older decisions are in the archive. A refused order is a "
            "decision too, a symbol without a trade in the bar has none.",
        )


_RECORD_AWAY = Message(
    503,
    "The broker is away",
    "The decision's record could not be read from Kafka in time.",
    "It is not lost: reload this page once the broker answers.",
)
_RECORD_GONE = Message(
    410,
    "The record is gone",
    "The topic no longer holds this decision: its retention is over, or the topic was made anew.",
    "The archive has it.",
)


_NOT_YOURS = Message(
    403,
    "Not for this token",
    "What could not be used belongs to no portfolio, so it is for tokens of all portfolios.",
    "Ask for a token with --portfolio '*'.",
)


def _bad_query(error: QueryError) -> Message:
    return Message(
        400,
        "This filter cannot be",
        f"{error.parameter[:_VALUE_CHARACTERS]} was {error.value[:_VALUE_CHARACTERS]!r}; "
        f"expected {error.expected}.",
        "Correct the address, or start from the list without filters.",
    )


def _no_market(symbol: str, portfolio: str) -> Message:
    asked = f"symbol {symbol!r}" + (f" in portfolio {portfolio!r}" if portfolio else "")
    return Message(
        404,
        "No such market",
        f"Nothing was decided about {asked}, as far as the log was read.",
        "Choose one of the list on the page of the markets.",
    )


def _bad_id(text: str) -> Message:
    return Message(
        400,
        "This is no decision id",
        f"id was {text[:_VALUE_CHARACTERS]!r}; expected a UUID such as "
        "7d444840-9dc0-51d1-b245-5ffdce74fad2.",
        "Copy the field decision_id of a decision.",
    )
