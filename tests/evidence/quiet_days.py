"""Series of days on which nothing is wrong, for every metric that an alert asks for.

Quiet is not still: queues breathe, one request in a hundred is slow, and now and then something
short happens that nobody need be woken for. Every role starts anew every day at an hour of its own,
the broker and Redis every third day; caches are cold and queues long for minutes after that. One
update of the models fails and one is refused, a rollout is begun, a person reduces a book for an
hour. All of it is drawn from a seed; minutes are the grid.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from models.arrays import Floats

DAY_MIN = 1_440
STACK = "quiet"

_ROLES = ("worker", "clock", "archive", "forensics", "explain", "web", "learning", "rollout")
_STAGES = ("bars", "signals", "risk", "explain")
_BOUNDS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
_LAG_BOUNDS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 60.0)


class Series(NamedTuple):
    """One series: name, labels, and a value a minute; NaN where it is not there."""

    name: str
    labels: dict[str, str]
    values: Floats

    def lines(self, times_s: Sequence[int]) -> Iterator[str]:
        """Give its samples as OpenMetrics has them."""
        labels = {"stack": STACK, **self.labels}
        said = ",".join(f'{key}="{value}"' for key, value in labels.items())
        for time_s, value in zip(times_s, self.values.tolist(), strict=True):
            if not math.isnan(value):
                yield f"{self.name}{{{said}}} {value:.10g} {time_s}"


class QuietDays:
    """Days of a stack on which nothing is wrong.

    Parameters
    ----------
    n_days
        How many; the first begins at minute 0.
    seed
        Of all that is drawn.
    first_s
        When the first begins, in seconds since 1970.
    """

    def __init__(self, n_days: int, seed: int, first_s: int = 0) -> None:
        self.n = n_days * DAY_MIN
        self._first_s = first_s
        self._draw = np.random.default_rng(seed)
        days = np.arange(n_days)
        self._starts = days * DAY_MIN + self._draw.integers(60, DAY_MIN - 60, n_days)
        self._outages = (days * DAY_MIN + self._draw.integers(60, DAY_MIN - 60, n_days))[::3]

    def series(self) -> Iterator[Series]:
        """Give all series."""
        yield from self._of_processes()
        yield from self._of_time()
        yield from self._of_stages()
        yield from self._of_requests()
        yield from self._of_stores()
        yield from self._of_audit()
        yield from self._of_models()
        yield from self._of_updates()
        yield from self._of_books()

    def after(self, moments: Floats, minutes: int) -> Floats:
        """Return 1 in the minutes after some moments, 0 elsewhere."""
        found = np.zeros(self.n)
        for at in moments:
            found[int(at) : int(at) + minutes] = 1.0
        return found

    def now_and_then(self, a_day: float, minutes: int) -> Floats:
        """Return 1 in short times at random, so many a day on average, 0 elsewhere."""
        n = self._draw.poisson(a_day * self.n / DAY_MIN)
        return self.after(np.sort(self._draw.integers(0, self.n - minutes, n)), minutes)

    def counted(self, per_min: Floats) -> Floats:
        """Return a counter of drawn events; it begins anew with the worker."""
        counter = self._draw.poisson(per_min).astype(np.float64).cumsum()
        for at in self._starts:
            counter[at:] -= counter[at]
        return counter

    def _of_processes(self) -> Iterator[Series]:
        for number, role in enumerate(_ROLES):
            labels = {"job": "tradewind", "role": role, "instance": f"h:{number}"}
            up = 1.0 - self.after(self._starts + number, 1)
            yield Series("up", labels, up)
            minutes = np.arange(self.n)
            since = minutes - np.maximum.accumulate(
                np.where(self.after(self._starts + number, 1) > 0.0, minutes, 0)
            )
            # It warms up in half an hour, then caches fill slowly to their bounds.
            warm = 300e6 * (1.0 - 0.4 * np.exp(-since / 10.0)) + 2e5 * np.minimum(since, 600) / 6.0
            noise = self._draw.normal(0.0, 4e6, self.n)
            yield Series("process_resident_memory_bytes", labels, warm + noise)

    def _of_time(self) -> Iterator[Series]:
        """Give a clock that misses beats when it restarts, and a feed that is away for minutes."""
        now_s = self._first_s + 60.0 * np.arange(self.n)
        waits = self.after(self._starts + _ROLES.index("clock"), 2)
        beats = np.maximum.accumulate(np.where(waits > 0.0, self._first_s, now_s))
        away = self.now_and_then(1.0, 4)
        for partition in ("0", "1"):
            labels = {"partition": partition, "role": "worker"}
            here = np.where(self.after(self._starts, 1 + int(partition)) > 0.0, np.nan, 1.0)
            quiet = np.maximum(away, self.now_and_then(10.0, 2))
            since = np.arange(self.n) - np.maximum.accumulate(
                np.where(quiet > 0.0, 0, np.arange(self.n))
            )
            for name, values in (("heartbeat_timestamp", beats), ("timeframe", 60.0 + 0.0 * beats)):
                yield Series(f"tradewind_bars_{name}_seconds", labels, values * here)
            yield Series("tradewind_bars_silent_seconds", labels, 60.0 * since * here)

    def _of_stages(self) -> Iterator[Series]:
        cold = self.after(self._starts, 1)
        hours = 1.0 + np.sin(2 * np.pi * np.arange(self.n) / DAY_MIN)
        taken = self.counted(400.0 + 2_000.0 * hours)
        yield Series("tradewind_stage_records_total", {"stage": "bars", "outcome": "taken"}, taken)
        late = 0.002 + 0.02 * self.now_and_then(0.5, 6)
        labels = {"stage": "bars", "reason": "LATE"}
        yield Series(
            "tradewind_dead_letters_total", labels, self.counted(late * (400.0 + 2_000.0 * hours))
        )
        slow = self.now_and_then(1.0, 3)
        for stage in _STAGES:
            median_s = 0.007 * (1.0 + 3.0 * slow + 5.0 * cold)
            yield from self._histogram(
                "tradewind_stage_delay_seconds", {"stage": stage}, 60.0, median_s, _BOUNDS_S
            )
            for partition in ("0", "1"):
                lag = self._draw.exponential(60.0, self.n) * (1.0 + 200.0 * cold)
                labels = {"stage": stage, "partition": partition}
                yield Series("tradewind_stage_lag_records", labels, lag.round())
        waiting = self._draw.integers(1, 3, self.n) * self.now_and_then(10.0, 2)
        yield Series("tradewind_barrier_waiting_slices", {"partition": "0"}, waiting)

    def _of_requests(self) -> Iterator[Series]:
        burst = self.now_and_then(1.0, 3)
        labels = {"endpoint": "predict", "status": "200"}
        per_min = 30.0
        median_s = 0.012 * (1.0 + 12.0 * burst)
        yield from self._histogram("tradewind_http_seconds", labels, per_min, median_s, _BOUNDS_S)
        yield Series(
            "tradewind_http_seconds_count",
            labels,
            self.counted(np.full(self.n, per_min)),
        )
        failed = per_min * (0.002 + 0.15 * self.after(self._starts, 1))
        refused = {"endpoint": "predict", "status": "503"}
        yield Series("tradewind_http_seconds_count", refused, self.counted(failed))
        cold = self.after(self._starts, 12)
        asked = np.full(self.n, 200.0)
        for level, outcome, share in (
            ("process", "hit", 0.9 - 0.5 * cold),
            ("process", "miss", 0.1 + 0.5 * cold),
            ("redis", "hit", 0.08 + 0.1 * cold),
            ("redis", "miss", 0.02 + 0.4 * cold),
        ):
            labels = {"level": level, "outcome": outcome}
            yield Series("tradewind_feature_cache_reads_total", labels, self.counted(asked * share))

    def _of_stores(self) -> Iterator[Series]:
        away = self.after(self._outages, 1)
        yield Series("tradewind_broker_away", {"role": "worker"}, away)
        waiting = 200.0 * self.after(self._outages, 3)
        yield Series("tradewind_spill_records", {"spill": "tables-decided"}, waiting)
        yield Series("tradewind_spill_state", {"spill": "tables-decided"}, np.zeros(self.n))
        yield Series("tradewind_breaker_open", {"store": "redis"}, self.after(self._outages, 4))
        days = np.arange(self.n) / DAY_MIN
        breath = 0.02 * np.sin(2 * np.pi * days) + self._draw.normal(0.0, 0.001, self.n)
        yield Series("tradewind_disk_used_fraction", {"role": "worker"}, 0.6 + 0.01 * days + breath)

    def _of_audit(self) -> Iterator[Series]:
        behind = self.after(self._starts, 2)
        median_s = 0.4 * (1.0 + 4.0 * behind)
        yield from self._histogram(
            "tradewind_audit_delay_seconds", {}, 30.0, median_s, _LAG_BOUNDS_S
        )
        for partition in ("0", "1"):
            lag = self._draw.exponential(80.0, self.n) * (1.0 + 100.0 * behind)
            yield Series("tradewind_audit_lag_records", {"partition": partition}, lag.round())
        yield Series("tradewind_audit_conflicts_total", {}, np.zeros(self.n))
        for outcome in ("same", "differing", "unchecked"):
            held = np.full(self.n, 50_000.0 * (outcome == "same"))
            yield Series("tradewind_run_check_records", {"outcome": outcome}, held)
        yield Series(
            "tradewind_run_check_timestamp_seconds",
            {},
            self._first_s + 60.0 * (np.arange(self.n) // 240 * 240),
        )
        yield from self._once("tradewind_archive_conflicts_total", {"table": "positions"})
        yield from self._once("tradewind_archive_lost_records_total", {"topic": "executions"})
        yield from self._once("tradewind_explanations_off_total", {"what": "residual"})

    def _of_models(self) -> Iterator[Series]:
        rows = np.full(self.n, 200.0)
        unsure = np.abs(0.04 + self._walk(0.002, 0.99)) + 0.1 * self.now_and_then(0.5, 10)
        yield Series("tradewind_regime_rows_total", {}, self.counted(rows))
        yield Series("tradewind_regime_unsure_rows_total", {}, self.counted(rows * unsure))
        for partition in ("0", "1"):
            labels = {"partition": partition, "chunk": "0"}
            yield Series("tradewind_option_collapsed", labels, self.now_and_then(1.0, 20))
        yield Series("tradewind_controller_repairs_total", {}, np.zeros(self.n))

    def _of_updates(self) -> Iterator[Series]:
        """Give an update a day, one of them refused, and a rollout that waits a little."""
        failed = self.after(self._starts[:1], DAY_MIN)
        yield Series("tradewind_learning_failed_updates", {"role": "learning"}, failed)
        begun = np.where(np.arange(self.n) < self.n // 2, np.nan, 1.0)
        labels = {"kind": "start", "by": "person", "role": "rollout"}
        yield Series("tradewind_rollout_transitions_total", labels, begun)
        days = np.arange(self.n) // DAY_MIN
        refused_on = int(self._draw.integers(1, days[-1] + 1))
        for outcome, daily in (("accepted", days != refused_on), ("refused", days == refused_on)):
            at_midnight = np.arange(self.n) % DAY_MIN == 0
            labels = {"update_type": "online_update", "outcome": outcome, "role": "learning"}
            # Nothing is there before the first one, nor after a restart.
            counter = self._since_start(at_midnight & daily)
            yield Series(
                "tradewind_model_updates_total", labels, np.where(counter > 0.0, counter, np.nan)
            )
        learned = 0.002 + 0.0005 * days
        yield Series("tradewind_learning_from_base_fraction", {"role": "learning"}, learned)
        waits = self.now_and_then(0.5, 30) * 600.0
        for name, values in (
            ("tradewind_rollout_split_alarm", self.now_and_then(0.5, 2)),
            ("tradewind_rollout_overdue_seconds", waits),
            ("tradewind_taken_back_decides", np.zeros(self.n)),
        ):
            role = "web" if name == "tradewind_taken_back_decides" else "rollout"
            yield Series(name, {"role": role}, values)
        errors = np.zeros(self.n)
        yield Series("tradewind_challenger_errors_total", {"role": "worker"}, errors)

    def _of_books(self) -> Iterator[Series]:
        reduced = self.after(self._draw.integers(0, self.n - 60, 1), 60)
        yield Series("tradewind_portfolio_state", {"portfolio": "main", "partition": "0"}, reduced)
        yield from self._once("tradewind_risk_violations_total", {"portfolio": "main"})
        for code in ("BOOK_MISMATCH", "OVER_FILL"):
            labels = {"portfolio": "main", "code": code}
            yield from self._once("tradewind_risk_alerts_total", labels)

    def _once(self, name: str, labels: dict[str, str]) -> Iterator[Series]:
        """Give a counter that somebody raised before these days; a restart lets it go."""
        values = np.where(np.arange(self.n) < self._starts[0], 1.0, np.nan)
        yield Series(name, labels, values)

    def _histogram(
        self,
        name: str,
        labels: dict[str, str],
        per_min: float,
        median_s: Floats,
        bounds_s: tuple[float, ...],
    ) -> Iterator[Series]:
        """Give a histogram's buckets: lognormal times, two thirds within a factor of 1.6."""
        n = self._draw.poisson(per_min, self.n)
        below = np.zeros(self.n, np.int64)
        shares = [_below(bound, median_s) for bound in bounds_s]
        before = np.zeros(self.n)
        for bound, share in zip(bounds_s, shares, strict=True):
            left = np.maximum(n - below, 0)
            chance = np.clip((share - before) / np.maximum(1.0 - before, 1e-12), 0.0, 1.0)
            below = below + self._draw.binomial(left, chance)
            before = share
            yield Series(f"{name}_bucket", {**labels, "le": f"{bound:g}"}, self._since_start(below))
        yield Series(f"{name}_bucket", {**labels, "le": "+Inf"}, self._since_start(n))

    def _since_start(self, events: Floats) -> Floats:
        counter = events.astype(np.float64).cumsum()
        for at in self._starts:
            counter[at:] -= counter[at]
        return counter

    def _walk(self, step: float, pull: float) -> Floats:
        """Return a walk that is pulled back to zero."""
        moves = self._draw.normal(0.0, step, self.n)
        found = np.zeros(self.n)
        for at in range(1, self.n):
            found[at] = pull * found[at - 1] + moves[at]
        return found


def _below(bound_s: float, median_s: Floats) -> Floats:
    """Return the share of lognormal times below a bound, by the logistic's closeness to it."""
    spread = 0.47
    found: Floats = 1.0 / (1.0 + np.exp(-1.702 * (np.log(bound_s) - np.log(median_s)) / spread))
    return found
