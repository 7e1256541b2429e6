"""``risk-latency``: one pre-trade check of a book of 500 positions over 250 days, all controls.

Returns are those of real stocks side by side where the data is there, drawn otherwise. The check is
the one that the fold runs: every control, the historical and the normal VaR, and the allowed
quantity, exact to the lot. Then 200 intents of one bar are decided, reserved one after the other.
"""

import gc
import math
from time import thread_time
from typing import Any

import numpy as np

from models.portfolio.ledger import MONEY_SCALE, Position, price_e8
from models.risk.account import Account, open_account
from models.risk.controls import check
from models.risk.decide import Row, decide
from models.risk.limits import AccountRules, Order, RiskLimits
from models.risk.sessions import DAY_NS
from streams.clock import monotonic_s
from tests.evidence.feature_data import best_tape
from tests.evidence.feature_speed import one_core
from tests.evidence.measurement import Measurement, Result, quantile

N_POSITIONS, N_DAYS, N_INTENTS = 500, 250, 200
CHECK_MS, BAR_MS, MOONSHOT_MS = 0.2, 20.0, 10.0

_CHECKS = 20_000
_BARS = 30
_WARM = 500
_DAY_0 = 19_000


def returns(n_days: int) -> np.ndarray:
    """Lay stretches of real stocks side by side until there are enough; (positions, days)."""
    close = best_tape()[1].close
    log_returns = np.diff(np.log(close), axis=0)
    clean = np.nan_to_num(log_returns)
    n_stocks = clean.shape[1]
    starts = [17 * (at // n_stocks) for at in range(N_POSITIONS)]
    return np.stack([clean[s : s + n_days, at % n_stocks] for at, s in enumerate(starts)])


def book(moves: np.ndarray) -> Account:
    """Build an account of 500 positions whose window is full, at the default limits."""
    symbols = tuple(f"S{n:03d}" for n in range(N_POSITIONS))
    sectors = {symbol: f"sector {n % 11}" for n, symbol in enumerate(symbols)}
    limits = RiskLimits(
        max_orders_per_second=10**9, max_orders_per_day=10**9, min_trade_fraction=0.0
    )
    rules = AccountRules(symbols, limits, 1.0, 0.5, 5, sectors=sectors, bar_ns=DAY_NS)
    account = open_account(10**8 * MONEY_SCALE, dict.fromkeys(symbols, 10**8), rules)
    prices = np.full(N_POSITIONS, 100.0)
    for day in range(N_DAYS + 1):
        close_ns = (_DAY_0 + day) * DAY_NS
        account.advance(close_ns)
        account.mark(close_ns, dict(zip(symbols, prices.tolist(), strict=True)))
        prices = prices * np.exp(moves[:, day])
    for at, symbol in enumerate(symbols):
        held = int(0.5 * 10**8 / N_POSITIONS / prices[at])
        cost = held * 10**8 * price_e8(prices[at])
        account.book.positions[symbol] = Position(held, cost, price_e8(prices[at]))
        account.book.cash -= cost
        account.kept.witness.lots[symbol] = held
    account.kept.witness.cash = account.book.cash
    account.kept.window = account.scenarios.window
    return Account(account.kept, rules)


def check_ms(account: Account) -> tuple[list[float], list[float]]:
    """Time checks of orders that differ in symbol and size; by the clock, and by the CPU.

    On a machine that others use as well the clock shows them, too; the CPU time does not.
    """
    draw = np.random.default_rng(20)
    at = draw.integers(N_POSITIONS, size=_CHECKS + _WARM).tolist()
    lots = draw.integers(1, 20_000, size=_CHECKS + _WARM).tolist()
    took, worked = [], []
    for n, (symbol, size) in enumerate(zip(at, lots, strict=True)):
        order = Order(account.rules.symbols[symbol], size, 0, "model")
        working, started = thread_time(), monotonic_s()
        check(account, order)
        ended, done = monotonic_s(), thread_time()
        if n >= _WARM:
            took.append((ended - started) * 1e3)
            worked.append((done - working) * 1e3)
    return sorted(took), sorted(worked)


def bar_ms(account: Account, moves: np.ndarray) -> tuple[list[float], list[float], int]:
    """Time bars in which 200 of 500 symbols ask for more, by both clocks; count approvals."""
    took, worked, n_approved = [], [], 0
    for day in range(_BARS):
        rows = []
        for at, symbol in enumerate(account.rules.symbols):
            close = account.book.position(symbol).price_e8 / 1e8
            price = round(close * math.exp(float(moves[at, day])), 8)
            target = (0.003 if day % 2 else 0.0015) if at < N_INTENTS else math.nan
            rows.append(Row(symbol, price, price, 0.5 + at / 1_000, target))
        working, started = thread_time(), monotonic_s()
        outcome = decide(account, (_DAY_0 + N_DAYS + 1 + day) * DAY_NS, rows)
        ended, done = monotonic_s(), thread_time()
        took.append((ended - started) * 1e3)
        worked.append((done - working) * 1e3)
        n_approved += sum(v.approved and v.lots != 0 for v in outcome.verdicts)
    return sorted(took), sorted(worked), n_approved


def measure() -> Result:
    """Check, then decide, on one core without the garbage collector's pauses moved about."""
    moves = returns(N_DAYS + 1 + _BARS)
    account = book(moves)
    gc.collect()
    gc.freeze()
    with one_core():
        checks, worked = check_ms(account)
        bars, bars_worked, n_approved = bar_ms(account, moves[:, N_DAYS + 1 :])
    gc.unfreeze()
    p99, worst_bar = quantile(checks, 0.99), quantile(bars, 0.95)
    parts: dict[str, Any] = {
        "check_ms_p50": round(quantile(checks, 0.5), 4),
        "check_ms_p99": round(p99, 4),
        "check_ms_max": round(checks[-1], 4),
        "check_cpu_ms_p99": round(quantile(worked, 0.99), 4),
        "bar_ms_p50": round(quantile(bars, 0.5), 2),
        "bar_ms_p95": round(worst_bar, 2),
        "bar_cpu_ms_p50": round(quantile(bars_worked, 0.5), 2),
        "bar_cpu_ms_p95": round(quantile(bars_worked, 0.95), 2),
        "bar_moonshot_holds": worst_bar <= MOONSHOT_MS,
        "orders_approved": n_approved,
        "positions": N_POSITIONS,
        "days": N_DAYS,
    }
    return Result(round(p99, 4), p99 <= CHECK_MS and worst_bar <= BAR_MS, len(checks), parts)


RISK_LATENCY = Measurement(
    "risk-latency",
    "ms, P99 of a check of all controls at 500 positions x 250 days",
    f"<= {CHECK_MS:g} ms, and 200 intents of one bar decided in <= {BAR_MS:g} ms",
    1,
    measure,
)
