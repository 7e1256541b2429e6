"""Each alert's trials: calm is just inside its threshold, loud is just outside."""

from tests.alerts import Behind, Event, Gauge, Gone, Rate, Series, Trial

_HOUR = 60


def _buckets(name: str, **rates: tuple[float, float]) -> tuple[Rate, ...]:
    """Return the series of a histogram, by bound: requests a second up to it, calm and loud."""
    return tuple(
        Rate(name.replace("}", f', le="{bound}"}}'), calm, loud)
        for bound, (calm, loud) in rates.items()
    )


def _of(metric: str, **labels: str) -> str:
    """Return the name of a series of a stack."""
    said = ", ".join(f'{key}="{value}"' for key, value in {"stack": "s", **labels}.items())
    return f"{metric}{{{said}}}"


def _labelled(alert: str, metric: str, **labels: str) -> list[Trial]:
    """Try a counter with labels: born by its event, and raised by it; another stack's 0 is calm."""
    told = {"stack": "s", **labels}
    zero = Event(_of(metric, **labels, stack="other"), 0, 0)
    born = Trial(alert, (Event(_of(metric, **labels), 0), zero), told)
    return [born, Trial(alert, (Event(_of(metric, **labels), 5),), told)]


_S = {"stack": "s"}
_HTTP = "tradewind_http_seconds"
_READS = "tradewind_feature_cache_reads_total"
_RISK = "tradewind_risk_alerts_total"
_UPDATES = "tradewind_model_updates_total"
_STEPS = "tradewind_rollout_transitions_total"
_BACK = {"kind": "rollback", "by": "automatic"}
_TAKEN = {"stage": "bars", "outcome": "taken"}
_UP = {"job": "tradewind", "instance": "h:1"}


def _bars_of(partition: int, calm_s: float, loud_s: float) -> tuple[Series, ...]:
    """Return the clock of a partition with bars of an hour, so many seconds behind the wall."""
    place = {"partition": str(partition)}
    return (
        Behind(_of("tradewind_bars_heartbeat_timestamp_seconds", **place), calm_s, loud_s),
        Gauge(_of("tradewind_bars_timeframe_seconds", **place), 3_600, 3_600),
    )


def _simple(alert: str, metric: str, calm: float, loud: float, **labels: str) -> Trial:
    return Trial(alert, (Gauge(_of(metric, **labels), calm, loud),), _S | labels)


# A quantile of 0.95 lies where 9.5 of 10 requests are; within a bucket it goes on a straight line.
TRIALS = [
    Trial(
        "PredictSlow",  # 0.1 + 1.5 / 1.8293 / 10 = 0.182 s, and 0.2 + 0.3 * 0.00667 = 0.202 s
        _buckets(
            _of(f"{_HTTP}_bucket", endpoint="predict", status="200"),
            **{"0.1": (8, 8), "0.2": (9.8293, 9.4967), "0.5": (10, 10), "+Inf": (10, 10)},
        ),
        _S,
        5,
    ),
    Trial(
        "ChainSlow",  # 0.1 s of bars and 0.082 or 0.102 s of risk; explaining is not on the way
        (
            *_buckets(
                _of("tradewind_stage_delay_seconds_bucket", stage="bars"),
                **{"0.05": (9, 9), "0.1": (9.5, 9.5), "+Inf": (10, 10)},
            ),
            *_buckets(
                _of("tradewind_stage_delay_seconds_bucket", stage="risk"),
                **{"0.05": (9, 9), "0.1": (9.78125, 9.4898), "0.2": (10, 10), "+Inf": (10, 10)},
            ),
            *_buckets(
                _of("tradewind_stage_delay_seconds_bucket", stage="explain"),
                **{"0.1": (0, 0), "5": (10, 10), "+Inf": (10, 10)},
            ),
        ),
        _S,
        5,
    ),
    Trial(
        "StageLag",
        (
            Gauge(_of("tradewind_stage_lag_records", stage="bars", partition="0"), 5_000, 5_000),
            Gauge(_of("tradewind_stage_lag_records", stage="bars", partition="1"), 4_100, 5_100),
        ),
        {"stack": "s", "stage": "bars"},
    ),
    *_labelled("RiskViolation", "tradewind_risk_violations_total", portfolio="main"),
    *(
        trial._replace(labels={"stack": "s", "portfolio": "main"})
        for trial in _labelled("BookMismatch", _RISK, portfolio="main", code="BOOK_MISMATCH")
    ),
    *_labelled("AccountSurprised", _RISK, portfolio="main", code="OVER_FILL"),
    _simple("TradingHalted", "tradewind_portfolio_state", 1, 2, portfolio="main", partition="0"),
    _simple("ServingDown", "up", 1, 0, **_UP, role="worker"),
    Trial(
        "ServingErrors",
        (
            Rate(_of(f"{_HTTP}_count", endpoint="predict", status="200"), 0.9545, 0.9495),
            Rate(_of(f"{_HTTP}_count", endpoint="predict", status="503"), 0.0455, 0.0505),
            # A worker that has no bar yet says so to whoever asks whether it is ready.
            Rate(_of(f"{_HTTP}_count", endpoint="getHealth", status="503"), 1, 1),
        ),
        _S,
        5,
    ),
    _simple("RoleDown", "up", 1, 0, **_UP, role="web"),
    *(
        Trial(
            "RoleUnseen",
            (
                Gone(_of("up", **_UP, role=gone)),
                Gauge(_of("up", **_UP, role=there), 1, 1),
            ),
            {"job": "tradewind", "role": gone},
            5,
        )
        for gone, there in (("worker", "clock"), ("clock", "worker"))
    ),
    _simple("ClockDown", "up", 1, 0, **_UP, role="clock"),
    Trial(
        "ClockSilent",  # one partition behind is not the clock
        (
            *_bars_of(0, _HOUR * 60 + 273.0, _HOUR * 60 + 303.0),
            *_bars_of(1, 10_000.0, 10_000.0),
        ),
        _S,
    ),
    Trial(
        "FeedSilent",  # one partition without trades is no feed that is away
        (
            Gauge(_of("tradewind_bars_silent_seconds", partition="0"), 273, 303),
            Gauge(_of("tradewind_bars_silent_seconds", partition="1"), 9_000, 9_000),
        ),
        _S,
    ),
    Trial(
        "PipelineStalled",
        (
            *_bars_of(0, 30.0, 30.0),
            *_bars_of(1, _HOUR * 60 + 303.0, _HOUR * 60 + 333.0),
        ),
        _S,
    ),
    Trial(
        "PipelineStalled",
        (
            Gauge(_of("up", **_UP, role="worker"), 1, 1),
            Gone(_of("tradewind_bars_heartbeat_timestamp_seconds", partition="0")),
        ),
        _S,
        5,
    ),
    _simple("BarrierStuck", "tradewind_barrier_waiting_slices", 0, 1, partition="0"),
    _simple("BrokerAway", "tradewind_broker_away", 0, 1),
    _simple("SpillInUse", "tradewind_spill_records", 0, 1, spill="web"),
    _simple("SpillFull", "tradewind_spill_state", 0, 1, spill="web"),
    _simple("DiskFilling", "tradewind_disk_used_fraction", 0.73, 0.81),
    _simple("DiskFull", "tradewind_disk_used_fraction", 0.82, 0.91),
    _simple("BreakerOpen", "tradewind_breaker_open", 0, 1, store="redis"),
    Trial(
        "CacheHitsLow",
        (
            Rate(_of(_READS, level="process", outcome="hit"), 0.5, 0.5),
            Rate(_of(_READS, level="process", outcome="miss"), 0.5, 0.5),
            Rate(_of(_READS, level="redis", outcome="hit"), 0.372, 0.292),
            Rate(_of(_READS, level="redis", outcome="miss"), 0.128, 0.208),
        ),
        _S,
        5,
    ),
    Trial(
        "ForensicsBacklog",
        (
            Gauge(_of("tradewind_audit_lag_records", partition="0"), 20_000, 20_000),
            Gauge(_of("tradewind_audit_lag_records", partition="1"), 25_500, 30_500),
        ),
        _S,
    ),
    Trial(
        "ForensicsSlow",  # 2 + 3 * 1.5 / 1.765 = 4.55 s, and 5 + 5 * 0.01 = 5.05 s
        _buckets(
            _of("tradewind_audit_delay_seconds_bucket"),
            **{"2": (8, 8), "5": (9.765, 9.4949), "10": (10, 10), "+Inf": (10, 10)},
        ),
        _S,
        5,
    ),
    Trial("AuditConflict", (Event(_of("tradewind_audit_conflicts_total"), 5),), _S),
    _simple("CertificateMismatch", "tradewind_run_check_records", 0, 1, outcome="differing"),
    Trial(
        "RunUnchecked",
        (Behind(_of("tradewind_run_check_timestamp_seconds"), 86_373.0, 86_403.0),),
        _S,
    ),
    _simple("RunUnchecked", "tradewind_run_check_records", 0, 1, outcome="unchecked"),
    *_labelled("ArchiveConflict", "tradewind_archive_conflicts_total", table="positions"),
    *_labelled("ArchiveLost", "tradewind_archive_lost_records_total", topic="executions"),
    *_labelled("ExplanationsOff", "tradewind_explanations_off_total", what="residual"),
    Trial(
        "RegimesUnsure",
        (
            Rate(_of("tradewind_regime_rows_total"), 1, 1),
            Rate(_of("tradewind_regime_unsure_rows_total"), 0.091, 0.101),
        ),
        _S,
        60,
    ),
    Trial(
        "OptionCollapsed",
        (
            Gauge(_of("tradewind_option_collapsed", partition="0", chunk="0"), 0, 1),
            Gauge(_of("tradewind_option_collapsed", partition="1", chunk="0"), 0, 0),
        ),
        _S,
    ),
    Trial("WeightsRepaired", (Event(_of("tradewind_controller_repairs_total"), 5),), _S),
    Trial(
        "RetrainingFailed",
        (Gauge(_of("tradewind_learning_failed_updates", role="learning"), 0.92, 1.01),),
        _S,
    ),
    Trial(
        "DeadLettersMany",
        (
            Rate(_of("tradewind_stage_records_total", **_TAKEN), 10, 10),
            Rate(_of("tradewind_dead_letters_total", stage="bars", reason="LATE"), 0.091, 0.101),
        ),
        _S,
        15,
    ),
    *(
        trial._replace(labels={"stack": "s", "outcome": outcome})
        for kind, outcome in (("online_update", "refused"), ("rollback", "rolled_back"))
        for trial in _labelled("UpdateRefused", _UPDATES, update_type=kind, outcome=outcome)
    ),
    _simple("NotLearning", "tradewind_learning_from_base_fraction", 0.00109, 0.00099),
    _simple("RolloutSplitWrong", "tradewind_rollout_split_alarm", 0, 1),
    *(
        trial._replace(
            labels=_S, series=(*trial.series, Event(_of(_STEPS, **_BACK, stack="t"), 0, 0))
        )
        for trial in _labelled("RolloutWentBack", _STEPS, **_BACK)
    ),
    Trial("ChallengerSilent", (Event(_of("tradewind_challenger_errors_total"), 5),), _S),
    _simple("RolloutWaits", "tradewind_rollout_overdue_seconds", 0, 1),
    _simple("TakenBackDecides", "tradewind_taken_back_decides", 0, 1),
    Trial(
        "MemoryGrowing",
        (
            Rate(
                _of("process_resident_memory_bytes", **_UP, role="web"),
                0.91 * 5e7 / 3600,
                1.001 * 5e7 / 3600,  # a slope over a window follows late
            ),
        ),
        _S | _UP | {"role": "web"},
        6 * _HOUR,
    ),
]
