"""NautilusTrader: a cross of two moving averages, a strategy a symbol, as its first pages show."""

import json
import os
import sys
import time
from typing import Any

import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig, StrategyConfig
from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("SIM")
FAST, SLOW = 10, 20


class CrossConfig(StrategyConfig, frozen=True):  # type: ignore[misc, call-arg]  it has no types
    """Which bars a strategy trades."""

    bar_type: BarType


class Cross(Strategy):  # type: ignore[misc]  it has no types
    """One share while the fast average is above the slow one."""

    def __init__(self, config: CrossConfig) -> None:
        super().__init__(config)
        self.fast = ExponentialMovingAverage(FAST)
        self.slow = ExponentialMovingAverage(SLOW)
        self.is_long = False
        self.n_bars = 0
        self.turns: list[tuple[int, bool]] = []

    def on_start(self) -> None:
        """Ask for the bars, and let the averages see each before the strategy does."""
        self.register_indicator_for_bars(self.config.bar_type, self.fast)
        self.register_indicator_for_bars(self.config.bar_type, self.slow)
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, _bar: Bar) -> None:
        """Trade where the averages have crossed."""
        self.n_bars += 1
        if not self.slow.initialized:
            return
        is_long = self.fast.value > self.slow.value
        if is_long == self.is_long:
            return
        self.is_long = is_long
        self.turns.append((self.n_bars - 1, is_long))
        side = OrderSide.BUY if is_long else OrderSide.SELL
        order = self.order_factory.market(
            self.config.bar_type.instrument_id, side, Quantity.from_int(1)
        )
        self.submit_order(order)


def main(path: str) -> None:
    """Run the bars of a file, and print what they took on the processor and where it turned."""
    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True),
            # By default it refuses what comes behind a hundred orders of a second.
            risk_engine=RiskEngineConfig(max_order_submit_rate="1000000/00:00:01"),
        )
    )
    engine.add_venue(
        VENUE, OmsType.NETTING, AccountType.CASH, [Money(100_000_000, USD)], base_currency=USD
    )
    bars: list[Any] = []
    frame = pd.read_parquet(path)
    for name, rows in frame.groupby("symbol"):
        symbol = Symbol(name)
        instrument = Equity(
            InstrumentId(symbol, VENUE),
            symbol,
            USD,
            price_precision=2,
            price_increment=Price.from_str("0.01"),
            lot_size=Quantity.from_int(1),
            ts_event=0,
            ts_init=0,
        )
        engine.add_instrument(instrument)
        bar_type = BarType.from_str(f"{instrument.id}-1-SECOND-LAST-EXTERNAL")
        wanted = rows.set_index(pd.to_datetime(rows["ts_close_ns"], utc=True))
        wrangler = BarDataWrangler(bar_type, instrument)
        bars += wrangler.process(wanted[["open", "high", "low", "close", "volume"]])
        engine.add_strategy(Cross(CrossConfig(bar_type=bar_type, order_id_tag=name)))
    engine.add_data(bars)
    started = time.process_time()
    engine.run()
    took_s = time.process_time() - started
    turns = {
        one.config.bar_type.instrument_id.symbol.value: one.turns
        for one in engine.trader.strategies()
    }
    n_filled = len(engine.trader.generate_order_fills_report())
    print(json.dumps({"processor_s": took_s, "turns": turns, "n_filled": n_filled}))  # noqa: T201  what is asked for


if __name__ == "__main__":
    os.sched_setaffinity(0, {0})
    main(*sys.argv[1:])
