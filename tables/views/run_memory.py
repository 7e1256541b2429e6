"""What the pages know of a run; it is filled from the log and forgotten with the process."""

from streams.errors import RecordError
from streams.topics import DEAD_LETTERS, EXECUTIONS, PORTFOLIO_SNAPSHOTS, TRADING_DECISIONS
from tables.stores.decision_log import LogRecord
from tables.trade_results import TradeResults
from tables.views.account_history import AccountHistory
from tables.views.dead_letter_list import DeadLetterList
from tables.views.decision_index import DecisionIndex
from tables.views.decision_row import decode_decision, row_of
from tables.views.live_tail import LiveTail
from tables.views.market_history import MarketHistory
from tables.views.served_models import ModelsInUse


class RunMemory:
    """Takes the records of a run's topics.

    Parameters
    ----------
    prefix
        Run prefix of the topics.
    since_ms
        From when on the results of trades are measured.
    """

    def __init__(self, prefix: str, since_ms: int = 0) -> None:
        self.decisions = DecisionIndex()
        self.markets = MarketHistory()
        self.tail = LiveTail()
        self.models = ModelsInUse()
        self.accounts = AccountHistory()
        self.dead_letters = DeadLetterList()
        self._results = TradeResults(since_ms)
        self.n_unreadable = 0
        self.last_unreadable = ""
        self.decisions_topic = prefix + TRADING_DECISIONS.name
        self._takers = {
            self.decisions_topic: self._take_decision,
            prefix + PORTFOLIO_SNAPSHOTS.name: self._take_snapshot,
            prefix + DEAD_LETTERS.name: self.dead_letters.add,
            prefix + EXECUTIONS.name: self._take_execution,
        }

    @property
    def topics(self) -> tuple[str, ...]:
        """Full names of the topics to follow."""
        return tuple(self._takers)

    def take(self, record: LogRecord) -> None:
        """Take a record; one that cannot be read is counted and named on every page."""
        try:
            self._takers[record.topic](record)
        except RecordError as error:
            self.n_unreadable += 1
            self.last_unreadable = f"{record.topic}:{record.partition}:{record.offset} {error}"

    def _take_decision(self, record: LogRecord) -> None:
        decision = decode_decision(record.value)
        row = row_of(decision, record)
        if self.decisions.add(row, record.value or b""):
            self.markets.add(row)
            self.tail.add(row)
            self.models.add(decision, row)

    def _take_snapshot(self, record: LogRecord) -> None:
        self._results.take_account(self.accounts.add(record.value))

    def _take_execution(self, record: LogRecord) -> None:
        self._results.take_execution(record.value, record.timestamp_ms)
