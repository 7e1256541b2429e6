"""The query string of the list: filters, the cursor and the switch for refreshing."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from tables.views.decision_row import VERDICTS, DecisionRow, RowKey

_ACTIONS = ("BUY", "SELL", "HOLD")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
_CODE = re.compile(r"[A-Z0-9_]{1,64}")
_CURSOR = re.compile(r"(\d{1,19})-(\d{1,9})-(\d{1,19})")


class QueryError(Exception):
    """A parameter that the list does not have, or a value it cannot have.

    Parameters
    ----------
    parameter, value
        What was asked.
    expected
        What can be asked.
    """

    def __init__(self, parameter: str, value: str, expected: str) -> None:
        super().__init__(f"{parameter} was {value!r}; expected {expected}")
        self.parameter = parameter
        self.value = value
        self.expected = expected


@dataclass(frozen=True, slots=True)
class DecisionQuery:
    """What a person asked for; an empty text asks for everything."""

    symbol: str = ""
    action: str = ""
    verdict: str = ""
    reason: str = ""
    portfolio: str = ""
    before: RowKey | None = None
    live: bool = False

    def wants(self, row: DecisionRow) -> bool:
        """Return whether a line passes all filters."""
        return (
            self.symbol in ("", row.symbol)
            and self.action in ("", row.action)
            and self.verdict in ("", row.verdict)
            and self.portfolio in ("", row.portfolio)
            and (not self.reason or self.reason in row.codes)
        )

    def filters(self) -> dict[str, str]:
        """Return the filters that are set."""
        named = {name: getattr(self, name) for name in FILTERS}
        return {name: value for name, value in named.items() if value}

    def link(self, *, before: RowKey | None = None, live: bool = False) -> str:
        """Return the address of the list with these filters."""
        asked = self.filters()
        if before is not None:
            asked["before"] = format_cursor(before)
        if live:
            asked["live"] = "1"
        return f"/?{urlencode(asked)}" if asked else "/"

    def follow_link(self, since: str) -> str:
        """Return the address at which new decisions with these filters are followed."""
        asked = self.filters() | ({"since": since} if since else {})
        return f"/live?{urlencode(asked)}" if asked else "/live"


def format_cursor(key: RowKey) -> str:
    """Return a key as text for a query string.

    Examples
    --------
    >>> format_cursor(RowKey(60_000_000_000, -1, -42))
    '60000000000-1-42'
    """
    return f"{key.close_ns}-{-key.minus_partition}-{-key.minus_offset}"


def parse_query(given: list[tuple[str, str]]) -> DecisionQuery:
    """Return the query; empty values, which forms send, count as not given.

    Raises
    ------
    QueryError
        If a parameter is unknown or given twice, or its value cannot be.
    """
    seen: dict[str, str] = {}
    for name, value in given:
        if name not in _PARSERS:
            raise QueryError(name, value, f"one of the parameters {', '.join(_PARSERS)}")
        if name in seen:
            raise QueryError(name, value, "each parameter once")
        seen[name] = value
    texts = {name: _PARSERS[name](name, seen.get(name, "")) for name in FILTERS}
    before, live = seen.get("before", ""), _PARSERS["live"]("live", seen.get("live", ""))
    return DecisionQuery(
        **texts, before=parse_cursor("before", before) if before else None, live=live == "1"
    )


def parse_market(given: list[tuple[str, str]]) -> tuple[str, str]:
    """Return symbol and portfolio of a market, each empty if not given.

    Raises
    ------
    QueryError
        As :func:`parse_query`.
    """
    for name, value in given:
        if name not in ("symbol", "portfolio"):
            raise QueryError(name, value, "symbol and portfolio alone")
    asked = parse_query(given)
    return asked.symbol, asked.portfolio


def _one_of(*allowed: str) -> Callable[[str, str], str]:
    def parse(name: str, value: str) -> str:
        if value and value not in allowed:
            raise QueryError(name, value, f"one of {', '.join(allowed)}")
        return value

    return parse


def _like(pattern: re.Pattern[str], expected: str) -> Callable[[str, str], str]:
    def parse(name: str, value: str) -> str:
        if value and not pattern.fullmatch(value):
            raise QueryError(name, value, expected)
        return value

    return parse


def parse_cursor(name: str, value: str) -> RowKey:
    """Return the key that a cursor stands for; it raises as :func:`parse_query`."""
    match = _CURSOR.fullmatch(value)
    if match is None:
        raise QueryError(name, value, "the cursor of a link 'older', such as 60000000000-1-42")
    close_ns, partition, offset = map(int, match.groups())
    return RowKey(close_ns, -partition, -offset)


_PARSERS: Mapping[str, Callable[[str, str], str]] = {
    "symbol": _like(_NAME, "1 to 64 characters"),
    "action": _one_of(*_ACTIONS),
    "verdict": _one_of(*VERDICTS),
    "reason": _like(_CODE, "a code of capital letters, such as MAX_LEVERAGE"),
    "portfolio": _like(_NAME, "1 to 64 characters"),
    "before": lambda _name, value: value,
    "live": _one_of("0", "1"),
}
FILTERS = ("symbol", "action", "verdict", "reason", "portfolio")
