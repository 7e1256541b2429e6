"""What each trade earned, for a chart: fills against the position that stood before them.

The book has the exact sum and is the only one that counts. A chart of single trades needs neither
its ledger nor its integers: a fill that closes earns its price less the mean cost of what closes.
"""

from collections import OrderedDict, deque
from typing import NamedTuple

import msgspec

from streams import metrics
from streams.records import Execution, PortfolioSnapshot, read_json
from streams.timestamps import parse_ns

# A restarted stage sends its last bars again; older ones than these it does not.
SEEN_MAX = 10_000
# A bar's account may be read before its fills; the one before it is what they met.
_ACCOUNTS_KEPT = 2

_EXECUTION = msgspec.json.Decoder(Execution)


class _Held(NamedTuple):
    """Signed units of a symbol, and what they cost, signed as well."""

    quantity: float
    cost: float


class _Account(NamedTuple):
    """What a portfolio held after a bar."""

    close_ns: int
    held: dict[str, _Held]


class TradeResults:
    """Counts what trades of a run earned, from a moment on.

    Parameters
    ----------
    since_ms
        Older fills are looked at by nobody: who reads a topic again must not count them again.
    """

    def __init__(self, since_ms: int) -> None:
        self._since_ms = since_ms
        self._accounts: dict[str, deque[_Account]] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()

    def take_account(self, said: PortfolioSnapshot) -> None:
        """Remember what a portfolio holds after a bar."""
        accounts = self._accounts.setdefault(said.portfolio, deque(maxlen=_ACCOUNTS_KEPT))
        close_ns = parse_ns(said.timestamp)
        if not accounts or close_ns > accounts[-1].close_ns:
            held = {each.symbol: _Held(each.quantity, float(each.cost)) for each in said.holdings}
            accounts.append(_Account(close_ns, held))

    def take_execution(self, value: bytes | None, timestamp_ms: int) -> None:
        """Count a fill that closed something; a correction takes back and is no trade.

        Raises
        ------
        RecordError
            If the bytes are no execution.
        """
        said = read_json(_EXECUTION, value or b"")
        if timestamp_ms < self._since_ms or said.kind != "fill" or said.venue_kind == "correction":
            return
        if said.execution_id in self._seen:
            return
        self._seen[said.execution_id] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        held = self._held_before(said)
        sign = 1.0 if said.side == "BUY" else -1.0
        if held is None or held.quantity * sign >= 0.0:
            return
        closed = min(said.quantity, abs(held.quantity))
        earned = -sign * closed * (said.price - held.cost / held.quantity) - said.fee
        metrics.TRADE_RESULT.labels(said.portfolio).observe(earned)

    def _held_before(self, said: Execution) -> _Held | None:
        ts_ns = parse_ns(said.ts_event)
        for account in reversed(self._accounts.get(said.portfolio, ())):
            if account.close_ns < ts_ns:
                return account.held.get(said.symbol)
        return None
