"""Shadow intents, decisions and accounts of a rollout, made by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
from aiokafka import TopicPartition

from models.rollout.assignment import challenged
from streams.epochs import Challenge, Epoch, Portfolio
from streams.records import AccountRisk, Decision, Holding, PortfolioSnapshot
from streams.slices import Slice
from streams.timestamps import format_ns
from tables.epochs import Epochs
from tests.builders import MIDNIGHT, MINUTE, bars, epoch, epochs_in, meta
from tests.unit.tables.views.played import decision

SYMBOLS = tuple(f"S{number}" for number in range(8))
SHARE = 0.25


def document(share: float | None = None, name: str = "r1", n_partitions: int = 1) -> Epoch:
    """Return an epoch, without a rollout or with one at a share."""
    rollout = None if share is None else Challenge(id=name, challenger="", share=share)
    return epoch(
        SYMBOLS, n_partitions=n_partitions, portfolios=(Portfolio(id="main"),), rollout=rollout
    )


class Market:
    """Bars of which both arms say something; ``better`` leans the challenger to what happens."""

    def __init__(self, root: Path, better: float = 0.0, n_bars: int = 400) -> None:
        self.epochs: Epochs
        documents = (document(), document(0.0), document(0.05), document(SHARE))
        self.epochs, self.digests = epochs_in(root, *documents)
        loaded = self.epochs.load(self.digests[1])
        self.champion = loaded.epoch.models
        assert loaded.epoch.rollout is not None
        self.challenger = loaded.epoch.rollout.challenger
        draw = np.random.default_rng(7)
        moves = draw.choice([-0.01, 0.01], (n_bars, len(SYMBOLS)))
        self.closes = 100.0 * np.cumprod(1.0 + moves, axis=0)
        after = np.vstack([moves[1:], np.zeros(len(SYMBOLS))])
        champion = draw.uniform(0.4, 0.6, moves.shape)
        self.up = np.array([champion, np.clip(champion + better * np.sign(after), 0.01, 0.99)])

    def intents(self, bar: int, share: float = 0.0, **changed: Any) -> Slice:  # noqa: ANN401  of the meta
        """Return what prediction tells of a bar."""
        digest = self.digests[{0.0: 1, 0.05: 2, SHARE: 3}[share]]
        about = meta(MIDNIGHT + bar * MINUTE, **{"epoch": 2, "epoch_digest": digest, **changed})
        fresh = bars(about, dict(zip(SYMBOLS, self.closes[bar], strict=True)), SYMBOLS)
        columns: dict[str, np.ndarray] = {}
        for arm, prefix in enumerate(("", "challenger_")):
            up = self.up[arm, bar]
            columns[f"{prefix}weights"] = np.full((len(SYMBOLS), 3), 1.0 / 3.0)
            columns[f"{prefix}probability_up"] = up
            columns[f"{prefix}target_fraction"] = 0.4 * (up - 0.5)
        return fresh.with_columns(columns)

    def decision(
        self,
        bar: int,
        symbol: str,
        share: float = 0.0,
        *,
        arm: str = "",
        **changed: Any,  # noqa: ANN401  fields of a decision
    ) -> Decision:
        """Return a decision of a bar, by the arm that is assigned or by another."""
        is_challenger = symbol in challenged("r1", "main", SYMBOLS, share)
        models = self.challenger if is_challenger else self.champion
        base = decision(bar)
        digests = msgspec.structs.replace(base.digests, models=arm or models)
        return msgspec.structs.replace(
            base,
            **{
                "timestamp": format_ns(MIDNIGHT + bar * MINUTE),
                "symbol": symbol,
                "epoch": 2,
                "digests": digests,
                **changed,
            },
        )


def account(
    bar: int,
    open_quantity: float = 120,
    symbols: tuple[str, ...] = SYMBOLS,
    **changed: Any,  # noqa: ANN401  limits
) -> PortfolioSnapshot:
    """Return the account behind a bar whose orders are all open, of a million."""
    limits = {
        "max_asset_fraction": 0.25, "max_sector_fraction": 1.0, "max_leverage": 1.5,
        "max_gross_fraction": 1.5, "allow_short": False,
    }  # fmt: skip
    holdings = [
        Holding(
            symbol=symbol, quantity=0, open_quantity=open_quantity, price="187.34",
            notional="0", equity_fraction=0.0, sector="Unclassified",
        )
        for symbol in symbols
    ]  # fmt: skip
    risk = AccountRisk(
        state="ACTIVE", switches={}, day_open_equity="1000000", peak_equity="1000000",
        daily_loss_fraction=0.0, drawdown_fraction=0.0, leverage=0.0, net_fraction=0.0,
        concentration=0.0, sectors={}, var_fraction=0.0, var_historical_fraction=0.0,
        var_normal_fraction=0.0, var_bars=0, open_orders=0, orders_today=0,
        limits={**limits, **changed},
    )  # fmt: skip
    return PortfolioSnapshot(
        timestamp=format_ns(MIDNIGHT + bar * MINUTE), portfolio="main", currency="USD",
        cash="1000000", equity="1000000", gross="0", realised="0", fees="0", holdings=holdings,
        risk=risk,
    )  # fmt: skip


def record(
    topic: str, value: bytes, offset: int = 0, *, sent_ns: int = 0, latency_ms: float | None = None
) -> Any:  # noqa: ANN401  aiokafka's record has no types
    """Return a record as aiokafka gives it."""
    headers = []
    if latency_ms is not None:
        headers = [("origin-ns", str(sent_ns - round(latency_ms * 1e6)).encode())]
    return SimpleNamespace(
        topic=topic, partition=0, offset=offset, value=value, headers=headers,
        timestamp=sent_ns // 1_000_000,
    )  # fmt: skip


def fetched(topic: str, *records: Any) -> dict[TopicPartition, list[Any]]:  # noqa: ANN401  as above
    """Return records as they are fetched."""
    return {TopicPartition(topic, 0): list(records)}
