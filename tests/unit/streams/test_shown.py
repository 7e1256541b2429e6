"""What a partition showed is gone when it goes, and the rest stays."""

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from streams import metrics, shown
from streams.shown import forget


def test_gauges_when_a_partition_goes_then_only_its_own_are_gone() -> None:
    """Else an alert goes on about what another worker has taken over, or mended."""
    for partition in (7, 8):
        metrics.ACCOUNT_STATE.labels("shown-book", partition).set(2)
        metrics.VAR_FRACTION.labels("shown-book", partition, "normal").set(0.1)
        metrics.LAG_RECORDS.labels("risk", partition).set(5)
        metrics.LAG_RECORDS.labels("bars", partition).set(6)
    forget("risk", 7)

    def state(partition: int) -> float | None:
        labels = {"portfolio": "shown-book", "partition": str(partition)}
        return REGISTRY.get_sample_value("tradewind_portfolio_state", labels)

    def lag(stage: str, partition: int) -> float | None:
        labels = {"stage": stage, "partition": str(partition)}
        return REGISTRY.get_sample_value("tradewind_stage_lag_records", labels)

    assert (state(7), state(8)) == (None, 2.0)
    assert [lag("risk", 7), lag("risk", 8), lag("bars", 7)] == [None, 5.0, 6.0]
    var = {"portfolio": "shown-book", "partition": "7", "measure": "normal"}
    assert REGISTRY.get_sample_value("tradewind_portfolio_var_fraction", var) is None


def test_gauges_when_they_name_a_partition_then_are_forgotten_with_it() -> None:
    """A new one that nobody lists would stay behind; the trail's role asks the broker itself."""
    of_partition = {
        each
        for each in vars(metrics).values()
        if isinstance(each, MetricWrapperBase) and "partition" in each._labelnames
    }
    known = {gauge for gauges in shown._SHOWN.values() for gauge in gauges}
    known |= {metrics.LAG_RECORDS, metrics.PROGRESS_OFFSET, metrics.AUDIT_LAG_RECORDS}
    assert {each._name for each in of_partition - known} == set()
