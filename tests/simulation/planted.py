"""Defects to plant, each as a change of one line or a few of the product's source."""

from typing import NamedTuple


class Defect(NamedTuple):
    """A change of a module: ``before`` stands there exactly once and becomes ``after``."""

    name: str
    module: str
    before: str
    after: str


_RESERVATION = "models.portfolio.reservation"
_LEDGER = "models.portfolio.ledger"
_ACCOUNT = "models.risk.account"
_CONCENTRATION = "models.risk.concentration"
_CONTROLS = "models.risk.controls"
_FLOW = "models.risk.flow"
_ADMISSION = "models.risk.admission"
_VENUE = "models.risk.venue"
_BOOK = "tables.book"

DEFECTS = (
    Defect(
        "a new reservation counts from the next bar on only",
        _ACCOUNT,
        "        self.kept.flow.note(sent)\n        self.touch(order.symbol)",
        "        self.kept.flow.note(sent)",
    ),
    Defect(
        "an ended order is released twice",
        _RESERVATION,
        "        del self._by_id[order.order_id]\n        self._count(order, -order.lots)",
        "        del self._by_id[order.order_id]\n        self._count(order, -2 * order.lots)",
    ),
    Defect(
        "a partial fill releases all of the order",
        _RESERVATION,
        "if abs(lots) >= abs(order.lots):",
        "if lots:",
    ),
    Defect(
        "a partial fill stays reserved",
        _RESERVATION,
        "        self._count(order, -lots)\n        order.lots -= lots",
        "        order.lots -= lots",
    ),
    Defect(
        "an exposure at its very limit is refused",
        _CONCENTRATION,
        "most = budget // (FRACTION_SCALE * unit)",
        "most = (budget - 1) // (FRACTION_SCALE * unit)",
    ),
    Defect(
        "all symbols share the sector of the first",
        "models.risk.exposure",
        "return self.sectors.get(symbol, UNCLASSIFIED)",
        "return self.sectors.get(min(self.sectors), UNCLASSIFIED)",
    ),
    Defect(
        "leverage looks at positions and not at open orders",
        _CONCENTRATION,
        "account.exposure.gross, limit, account.equity)",
        "account.book.gross(), limit, account.equity)",
    ),
    Defect(
        "net exposure is a share of the equity of now",
        _CONCENTRATION,
        "account.limits.max_net_fraction, account.kept.day.open_equity",
        "account.limits.max_net_fraction, account.equity",
    ),
    Defect(
        "an order's value is taken at the last price, whatever it bids",
        "models.risk.orders",
        "max(order.price_e8, last",
        "max(0, last",
    ),
    Defect(
        "the duplicate window is in microseconds",
        "models.risk.orders",
        "_NS_PER_MS = 1_000_000",
        "_NS_PER_MS = 1_000",
    ),
    Defect(
        "the orders of a day are never counted anew",
        _FLOW,
        "        self.n_today = 0\n\n    def in_last",
        "\n    def in_last",
    ),
    Defect(
        "a second lasts a minute for the order rate",
        _FLOW,
        "self._last_second[0] <= now_ns - SECOND_NS",
        "self._last_second[0] <= now_ns - MINUTE_NS",
    ),
    Defect(
        "a price may be one bar staler than the limit",
        "models.risk.prices",
        "if age_ns <= limit * account.rules.bar_ns:",
        "if age_ns <= (limit + 1) * account.rules.bar_ns:",
    ),
    Defect(
        "the collar looks upwards only",
        "models.risk.prices",
        "away = abs(order.price_e8 - last) if",
        "away = max(order.price_e8 - last, 0) if",
    ),
    Defect(
        "HALTED lets sales pass",
        _ADMISSION,
        'if thrown is None or thrown[1].state != "HALTED":',
        'if thrown is None or thrown[1].state != "HALTED" or order.lots < 0:',
    ),
    Defect(
        "a switch of a strategy is not looked at",
        "models.risk.switches",
        '"portfolio", f"strategy:{strategy}", f"symbol',
        '"portfolio", f"symbol',
    ),
    Defect(
        "REDUCING lets one lot through flat",
        _CONTROLS,
        "max(found.room_lots, free)",
        "max(found.room_lots, free + 1)",
    ),
    Defect(
        "what is being sold already can be sold again",
        _ACCOUNT,
        "return self.reservations.selling(symbol) - lots",
        "return -lots",
    ),
    Defect(
        "the daily loss counts from the highest equity ever",
        "models.risk.losses",
        "account.limits.max_daily_loss_fraction, account.kept.day.open_equity",
        "account.limits.max_daily_loss_fraction, account.kept.day.peak_equity",
    ),
    Defect(
        "the bar that closes at midnight belongs to the next day",
        "models.risk.sessions",
        "return (at_ns - 1) // DAY_NS",
        "return at_ns // DAY_NS",
    ),
    Defect(
        "a day begins with the cash",
        _ACCOUNT,
        "kept.day.number, kept.day.open_equity = number, self.equity",
        "kept.day.number, kept.day.open_equity = number, self.book.cash",
    ),
    Defect(
        "fees are received",
        _LEDGER,
        "book.cash -= fill.lots * unit + fill.fee",
        "book.cash -= fill.lots * unit - fill.fee",
    ),
    Defect(
        "fees are rounded in favour of the account",
        _LEDGER,
        "return -(-notional * round(fee_bps * 10**4) // (_BPS_SCALE * _FEE_STEP)) * _FEE_STEP",
        "return notional * round(fee_bps * 10**4) // (_BPS_SCALE * _FEE_STEP) * _FEE_STEP",
    ),
    Defect(
        "a fill with a known id is booked again",
        "models.risk.memory",
        "return record_id in self.ids or record_id in self.executions",
        "return record_id in self.ids",
    ),
    Defect(
        "a correction adds and does not replace",
        _VENUE,
        "for fill in (undone, right):",
        "for fill in (right,):",
    ),
    Defect(
        "an execution can be corrected twice",
        _VENUE,
        "    memory.executions[report.corrects] = Taken(wrong.day, wrong.order_id, wrong.symbol)\n",
        "",
    ),
    Defect(
        "a surprise of the venue lifts a halt to REDUCING",
        _VENUE,
        'if "portfolio" not in switches.thrown:',
        "if switches is not None:",
    ),
    Defect(
        "a snapshot forgets open orders",
        _BOOK,
        "[msgspec.structs.astuple(order) for order in kept.reservations.orders]",
        "[]",
    ),
    Defect(
        "a snapshot forgets the orders of the last minute",
        _BOOK,
        "[(*sent,) for sent in kept.flow.recent]",
        "[]",
    ),
    Defect(
        "a snapshot forgets limits that a record has set",
        _BOOK,
        "stored.changed | ({}",
        "{} | ({}",
    ),
    Defect(
        "scenarios are made anew at a restart, to the last bit but one",
        "models.risk.scenarios",
        "        if earned is not None:\n            self.earned = earned",
        "        del earned",
    ),
    Defect(
        "the window of the value at risk is shifted by a bar",
        "models.risk.scenarios",
        "np.where(known, self.window, 0.0)",
        "np.nan_to_num(np.roll(self.window, 1, axis=1))",
    ),
    Defect(
        "one bar more may exceed the value at risk",
        "models.risk.var",
        "return n_bars * TAIL_PERCENT // 100",
        "return n_bars * TAIL_PERCENT // 100 + 1",
    ),
    Defect(
        "the oldest bar weighs most",
        "models.risk.var",
        "weights: Floats = (1.0 - decay) * powers[::-1]",
        "weights: Floats = (1.0 - decay) * powers",
    ),
    Defect(
        "a short position is thought to move with the book",
        "models.risk.losses",
        "actual = side * own.correlation(",
        "actual = own.correlation(",
    ),
    Defect(
        "a split leaves orders open that were made for old lots",
        "models.risk.changes",
        "        if order.symbol == symbol:\n",
        "        if order.symbol == '':\n",
    ),
    Defect(
        "a trader may resume",
        "streams.instructions",
        '        if self.action == "resume":\n            self.require_admin()',
        '        if self.action == "resume":\n            pass',
    ),
    Defect(
        "an order expires one bar late",
        "models.risk.decide",
        "order.bars_waited < rules.order_expiry_bars",
        "order.bars_waited <= rules.order_expiry_bars",
    ),
    Defect(
        "rubbish counts for ever",
        "models.risk.feed",
        "if bar[0] > close_ns - WINDOW_NS",
        "if bar[0] > 0",
    ),
    Defect(
        "rubbish is looked at in one partition",
        "agents.risk",
        "sum(c.n_dead for c in counts)",
        "counts[0].n_dead",
    ),
    Defect(
        "an order fills at a price from before it was sent",
        "models.risk.decide",
        "if order.placed_ns > account.kept.bar_ns:",
        "if order.placed_ns < 0:",
    ),
    Defect(
        "an order with a limit fills at any price",
        "models.execution.fills",
        "if order.price_e8 and side * (price - order.price_e8) > 0:",
        "if order.price_e8 < 0:",
    ),
    Defect(
        "a bar is decided when one partition has delivered it",
        "models.risk.barrier",
        "if len(self.delivered) < n_partitions:",
        "if not self.delivered:",
    ),
    Defect(
        "a record from the future moves time as far as it says",
        "tables.instructions",
        "account.advance(min(ts_ns, kept.bar_ns + account.rules.bar_ns))",
        "account.advance(ts_ns)",
    ),
    Defect(
        "an order is cut to a duplicate of the one before",
        _CONTROLS,
        "_not_just_sent(account, order, allowed)",
        "allowed",
    ),
)
