"""Each alert's trial: series that keep just inside its threshold, go just outside, and come back.

A trial has three phases, calm, loud and calm again, in samples of a minute. Calm is 9 % inside the
threshold and loud 1 % outside, so a threshold that moves by a tenth either way is noticed, and one
that is smoothed by a window is crossed at the window's end.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

DOCKER = Path(__file__).parents[1] / "docker"
RULES = DOCKER / "prometheus" / "alerts.yml"

# Samples after a phase's end by which everything has settled.
_SLACK = 5
_HOUR = 60


class Gauge(NamedTuple):
    """A series by its value in the calm and in the loud phase."""

    name: str
    calm: float
    loud: float

    def values(self, n_calm: int, n_loud: int, n_after: int) -> str:
        """Return its samples as promtool writes them."""
        parts = ((self.calm, n_calm), (self.loud, n_loud), (self.calm, n_after))
        return " ".join(f"{value}+0x{n - 1}" for value, n in parts)


class Rate(NamedTuple):
    """A series by its slope per second in the calm and in the loud phase."""

    name: str
    calm: float
    loud: float

    def values(self, n_calm: int, n_loud: int, n_after: int) -> str:
        """Return its samples as promtool writes them."""
        at, parts = 0.0, []
        for per_s, n in ((self.calm, n_calm), (self.loud, n_loud), (self.calm, n_after)):
            step = per_s * 60
            parts.append(f"{at + step:.6f}+{step:.6f}x{n - 1}")
            at += step * n
        return " ".join(parts)


class Event(NamedTuple):
    """A counter that one event raises when the loud phase begins; born by it if ``before`` is 0."""

    name: str
    before: int
    by: int = 1

    def values(self, n_calm: int, n_loud: int, n_after: int) -> str:
        """Return its samples as promtool writes them."""
        earlier = f"{self.before}+0x{n_calm - 1}" if self.before else f"_x{n_calm}"
        return f"{earlier} {self.before + self.by}+0x{n_loud + n_after - 1}"


class Gone(NamedTuple):
    """A series that moves while it is calm, and is not there while it is loud."""

    name: str

    def values(self, n_calm: int, n_loud: int, n_after: int) -> str:
        """Return its samples as promtool writes them."""
        return f"1+60x{n_calm - 1} _x{n_loud} 1+60x{n_after - 1}"


Series = Gauge | Rate | Event | Gone


class Trial(NamedTuple):
    """One way in which an alert fires; ``settle_min`` is its expression's window."""

    alert: str
    series: tuple[Series, ...]
    labels: Mapping[str, str] = {}
    settle_min: int = 0

    def document(self, rules: Path) -> dict[str, Any]:
        """Return the trial as promtool takes it: quiet before, firing in time, resolved after."""
        rule = rules_of()[self.alert]
        wait = int(rule.get("for", "0m").rstrip("mh")) * (60 if "h" in rule.get("for", "") else 1)
        lasts = _HOUR if any(isinstance(one, Event) for one in self.series) else 0
        n_calm = max(self.settle_min, lasts) + 2 * wait + _SLACK
        n_loud = max(self.settle_min + wait, lasts) + _SLACK
        n_after = self.settle_min + 2 * _SLACK
        fires = n_calm + self.settle_min + wait
        labels = {
            "__name__": "ALERTS",
            "alertname": self.alert,
            "alertstate": "firing",
            "severity": rule["labels"]["severity"],
            **self.labels,
        }
        said = ", ".join(f'{key}="{value}"' for key, value in labels.items())
        # A mean over a window crosses the threshold when nine tenths of the window are loud.
        crosses = n_calm + int(0.9 * self.settle_min)
        times = [n_calm - 1, *([crosses + wait - 1] if wait else []), fires]
        times.append(n_calm + n_loud + self.settle_min + _SLACK)
        return {
            "rule_files": [str(rules)],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [
                        {"series": one.name, "values": one.values(n_calm, n_loud, n_after)}
                        for one in self.series
                    ],
                    "promql_expr_test": [
                        {
                            "expr": f'ALERTS{{alertname="{self.alert}", alertstate="firing"}}',
                            "eval_time": f"{time}m",
                            "exp_samples": (
                                [{"labels": f"{{{said}}}", "value": 1}] if time == fires else []
                            ),
                        }
                        for time in times
                    ],
                }
            ],
        }


def rules_of(path: Path = RULES) -> dict[str, dict[str, Any]]:
    """Return the rules of a file by the names of their alerts."""
    groups = yaml.safe_load(path.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def holds(trials: list[Trial], rules: Path, folder: Path) -> tuple[bool, str]:
    """Say whether the rules pass some trials, and what promtool says."""
    files = []
    for number, trial in enumerate(trials):
        file = folder / f"{trial.alert}-{number}.yml"
        file.write_text(yaml.safe_dump(trial.document(rules), width=10**6))
        files.append(str(file))
    done = subprocess.run(
        ["promtool", "test", "rules", *files], capture_output=True, text=True, check=False
    )
    return done.returncode == 0, done.stdout + done.stderr


_COMPARED = re.compile(r"(>|<|==) ([\d.e]+)")
_OTHER = {">": "<", "<": ">", "==": "!="}


def mutants(rule: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give what a slip of the pen could make of a rule, each with its name."""
    expr = rule["expr"]
    for found in _COMPARED.finditer(expr):
        sign, number = found[1], float(found[2])
        changed = [f"{_OTHER[sign]} {found[2]}"]
        if number == 0 and sign == ">":
            changed = ["> 2", ">= 0"]
        elif sign != "==":
            changed += [f"{sign} {number * 1.1}", f"{sign} {number * 0.9}"]
        for new in changed:
            mutant = f"{expr[: found.start()]}{new}{expr[found.end() :]}"
            yield f"{found[0]} at {found.start()} as {new}", {**rule, "expr": mutant}
    wait = rule.get("for")
    if wait is not None:
        yield "no wait", {key: value for key, value in rule.items() if key != "for"}
        yield "twice the wait", {**rule, "for": f"{2 * int(wait[:-1])}{wait[-1]}"}


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
    _simple("TradingHalted", "tradewind_portfolio_state", 1, 2, portfolio="main"),
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
    _simple("RoleDown", "up", 1, 0, **_UP, role="clock"),
    Trial(
        "PipelineStalled",
        (Rate(_of("tradewind_stage_records_total", **_TAKEN), 1, 0),),
        _S,
        5,
    ),
    Trial(
        "PipelineStalled",
        (Gone(_of("tradewind_stage_records_total", **_TAKEN)),),
        {"stage": "bars"},
        5,
    ),
    _simple("BarrierStuck", "tradewind_barrier_waiting_slices", 0, 1),
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
