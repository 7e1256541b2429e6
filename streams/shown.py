"""Which gauges are of a partition, and so go when it goes to another worker."""

from prometheus_client import Gauge

from streams import metrics

# What a stage shows of a partition for as long as it has it.
_SHOWN: dict[str, tuple[Gauge, ...]] = {
    "bars": (
        metrics.HEARTBEAT_SECONDS,
        metrics.TIMEFRAME_SECONDS,
        metrics.TICK_SECONDS,
        metrics.SILENT_SECONDS,
    ),
    "signals": (
        metrics.REGIME_ENTROPY_BITS,
        metrics.OPTION_USAGE_FRACTION,
        metrics.OPTION_USAGE_ENTROPY_BITS,
        metrics.OPTION_COLLAPSED,
        metrics.OPTION_COLLAPSED_SYMBOLS,
    ),
    "risk": (
        metrics.BARRIER_WAITING,
        metrics.EQUITY,
        metrics.ACCOUNT_STATE,
        metrics.VAR_FRACTION,
        metrics.DAILY_LOSS_FRACTION,
        metrics.DRAWDOWN_FRACTION,
        metrics.LEVERAGE,
        metrics.CONCENTRATION,
    ),
}


def forget(stage: str, partition: int) -> None:
    """Take a partition that went elsewhere out of the gauges of a stage."""
    of = {"partition": str(partition)}
    for gauge in (metrics.LAG_RECORDS, metrics.PROGRESS_OFFSET):
        gauge.remove_by_labels({"stage": stage, **of})
    for gauge in _SHOWN.get(stage, ()):
        gauge.remove_by_labels(of)
