"""What a stage of a rollout has shown so far: folds of shadow intents, decisions and accounts.

Each is folded by itself, in its own order, so it does not matter how they come interleaved: what is
compared is in the intents, what was decided and how fast in the decisions, and whether that was
within the limits in the accounts that it led to.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from models.arrays import Floats, Indices
from models.risk.sessions import Sessions
from models.rollout import comparison
from models.rollout.assignment import challenged, position
from models.rollout.comparison import Bar, Compared, Findings
from models.rollout.guards import LatencyWindow, Rules, Timed
from models.rollout.latency import N_BUCKETS, bucket, quantile_ms
from models.rollout.sample_ratio import SampleRatio, sample_ratio
from models.rollout.stages import Rollout
from streams.epochs import Epoch
from streams.records import Decision, PortfolioSnapshot
from streams.rollouts import ArmFigures, Evidence
from streams.slices import Slice, SliceKey
from tables.recheck import Broken, Recheck

# Bars that may wait for a partition; behind that the oldest is judged as it is.
_MOST_WAITING = 64

# A unit is a symbol of a portfolio; a name has no NUL.
_UNIT = "\0"

_CHAMPION, _CHALLENGER, _MISPLACED = 0, 1, 2

_NS_PER_S = 10**9

# A stage whose last close is older, by bars and a time, goes on no further.
_STALE_BARS, _STALE_NS = 3, 60 * _NS_PER_S


class Shown(NamedTuple):
    """What is kept of a stage, with the offsets behind which it goes on.

    ``n_lived`` counts bars that were judged, or that no market was open for; ``heard_ns`` is the
    last close that was told. ``decided`` counts (arm, all refused violations); ``latencies`` are
    counts by arm and bucket; ``units`` says which arm decided for each; ``numbers`` are those of
    the stage's epochs.
    """

    rollout: str
    stage: int
    entered_ns: int
    n_lived: int
    heard_ns: int
    compared: Compared
    decided: Indices
    latencies: Indices
    units: dict[str, int]
    numbers: list[int]
    last: dict[str, list[int]]
    offsets: dict[str, int]


class StageFold:
    """The fold of one stage.

    Parameters
    ----------
    rollout
        As it stands in this stage.
    epoch
        Whose universe and portfolios are compared.
    rules
        What it keeps to.
    shown
        What was kept before a restart; None to begin.
    hours
        Sessions of the markets, if each of them closes; nothing where one is always open.
    """

    def __init__(
        self,
        rollout: Rollout,
        epoch: Epoch,
        rules: Rules,
        shown: Shown | None = None,
        hours: Collection[Sessions] = (),
    ) -> None:
        self.rollout = rollout
        self._hours = hours
        self._timeframe_ns = epoch.timeframe_ns
        self._due = _units_due(rollout, epoch)
        self._recheck = Recheck()
        self._symbols = {symbol: at for at, symbol in enumerate(epoch.symbols())}
        self._portfolios = {each.id for each in epoch.portfolios}
        self._n_partitions = epoch.n_partitions
        self._least_correlation = rules.least_correlation
        self.window = LatencyWindow(rules.latency)
        fresh = Shown(
            rollout.id,
            rollout.stage,
            rollout.entered_ns,
            0,
            rollout.entered_ns,
            comparison.initial_state(len(self._symbols)),
            np.zeros((2, 3), np.int64),
            np.zeros((2, N_BUCKETS), np.int64),
            {},
            [],
            {},
            {},
        )
        fits = shown is not None and (
            shown[:3] == fresh[:3] and len(shown.compared.close) == len(self._symbols)
        )
        self._shown = shown if shown is not None and fits else fresh
        self._waiting: dict[int, dict[tuple[int, int], Slice]] = {}
        self._complete: dict[int, set[int]] = {}
        self._violation = ""

    def belongs(self, epoch: Epoch) -> bool:
        """Tell whether what an epoch decided is of this stage."""
        of = epoch.rollout
        return of is not None and (of.id, of.share) == (self.rollout.id, self.rollout.share)

    def take_intents(self, slice_: Slice) -> None:
        """Compare a slice's rows once all of its bar are there; one that comes again is nothing."""
        meta = slice_.meta
        last = self._shown.last.get(str(meta.partition))
        if last is not None and slice_.key <= SliceKey(*last):
            return
        self._shown.last[str(meta.partition)] = list(slice_.key)
        if meta.epoch not in self._shown.numbers:
            self._shown.numbers.append(meta.epoch)
        bar = self._waiting.setdefault(meta.close_ns, {})
        bar[meta.partition, meta.chunk] = slice_
        if meta.chunk == meta.n_chunks - 1:
            self._complete.setdefault(meta.close_ns, set()).add(meta.partition)
        for close_ns in sorted(self._waiting):
            is_whole = len(self._complete.get(close_ns, ())) == self._n_partitions
            if not is_whole and len(self._waiting) <= _MOST_WAITING:
                return
            self._judge(close_ns)

    def _judge(self, close_ns: int) -> None:
        slices = self._waiting.pop(close_ns)
        self._complete.pop(close_ns, None)
        n = len(self._symbols)
        bar = Bar(
            np.full(n, np.nan),
            np.full((2, n), np.nan),
            np.full((2, n), np.nan),
            np.full((2, n, 3), np.nan),
        )
        for slice_ in slices.values():
            if slice_.n_rows:
                _lay(bar, slice_, [self._symbols[symbol] for symbol in slice_.symbols()])
        compared = comparison.step(self._shown.compared, bar)
        is_judged = compared.n_bars > self._shown.compared.n_bars
        self._shown = self._shown._replace(
            n_lived=self._shown.n_lived + (is_judged or self._is_closed(close_ns)),
            heard_ns=close_ns,
            compared=compared,
        )

    def _is_closed(self, close_ns: int) -> bool:
        """Tell whether nothing could be traded in a bar, so that there is nothing to judge."""
        begin_ns = close_ns - self._timeframe_ns
        return bool(self._hours) and not any(
            hours.was_open(begin_ns, close_ns) for hours in self._hours
        )

    def take_decision(self, decision: Decision, timed: Timed | None) -> None:
        """Count a decision of a bar of this stage; one of another epoch or wish is not its own.

        What is beyond a limit counts whoever wished for it, and from whichever epoch.
        """
        self._blame(self._recheck.take_decision(decision))
        if decision.intent_id or decision.epoch not in self._shown.numbers:
            return
        known = {self.rollout.champion: _CHAMPION, self.rollout.challenger: _CHALLENGER}
        arm = known.get(decision.digests.models)
        if arm is None or decision.portfolio not in self._portfolios:
            return
        self._shown.decided[arm] += (1, not decision.approved, 0)
        place = position(self.rollout.id, decision.portfolio, decision.symbol)
        is_right = (place < self.rollout.share) == (arm == _CHALLENGER)
        unit = f"{decision.portfolio}{_UNIT}{decision.symbol}"
        if not is_right or unit not in self._shown.units:
            self._shown.units[unit] = arm if is_right else _MISPLACED
        if timed is not None:
            self._shown.latencies[arm, bucket(timed.latency_ms)] += 1
            self.window.add(timed)

    def take_snapshot(self, snapshot: PortfolioSnapshot) -> None:
        """Hold the orders of a bar against the account that they led to."""
        self._blame(self._recheck.take_snapshot(snapshot))

    def _blame(self, found: list[Broken]) -> None:
        for broken in found:
            if broken.models == self.rollout.challenger:
                self._shown.decided[_CHALLENGER, 2] += 1
                self._violation = f"{broken.decision_id} ({', '.join(broken.limits)})"
            elif broken.models == self.rollout.champion:
                self._shown.decided[_CHAMPION, 2] += 1

    @property
    def is_between_bars(self) -> bool:
        """Whether nothing waits for its other half: only then is what is shown all that was read.

        An order whose account never comes waits until the next one.
        """
        return not self._waiting and self._recheck.is_settled

    @property
    def lived_ns(self) -> int:
        """For how long bars were judged, with the time in which no market was open."""
        return self._shown.n_lived * self._timeframe_ns

    @property
    def stale_ns(self) -> int:
        """Behind the last close by this time a stage has lost its feed."""
        return _STALE_BARS * self._timeframe_ns + _STALE_NS

    @property
    def heard_ns(self) -> int:
        """The last close that was told, or the begin of the stage."""
        return self._shown.heard_ns

    def shown(self, offsets: dict[str, int]) -> Shown:
        """Return what to keep, with the offsets that were read."""
        return self._shown._replace(offsets=offsets)

    @property
    def offsets(self) -> dict[str, int]:
        """The offsets behind what was kept."""
        return self._shown.offsets

    def findings(self) -> Findings:
        """Return what the comparison says."""
        return comparison.findings(self._shown.compared)

    def split(self) -> SampleRatio:
        """Return the sizes of the arms."""
        counts = [list(self._shown.units.values()).count(arm) for arm in (0, 1, 2)]
        return sample_ratio(counts[0], counts[1], self.rollout.share, counts[2])

    def reasons_against(self) -> list[str]:
        """Say why the next stage is not carried; nothing if it is."""
        found = self.findings()
        reasons = list(found.reasons)
        if self._is_unlike(found):
            reasons.append("UNLIKE_CHAMPION")
        decided = self._shown.decided
        if any(n_due and not n for n_due, n in zip(self._due, decided[:, 0], strict=True)):
            reasons.append("NO_DECISIONS")
        if self.split().is_alarming:
            reasons.append("SAMPLE_RATIO")
        if decided[_CHALLENGER, 2]:
            reasons.append("RISK_VIOLATION")
        if self.window.is_broken:
            reasons.append("LATENCY")
        return reasons

    def _is_unlike(self, found: Findings) -> bool:
        """Tell whether a shadow has shown that it wishes something else.

        NaN, where a target never moved, is no likeness.
        """
        least = self._least_correlation
        if self.rollout.stage > 0 or found.n_bars < comparison.MIN_BARS or not least:
            return False
        return not found.target_correlation > least

    def harm(self) -> str:
        """Say what must end the rollout now; empty if nothing."""
        if self._shown.decided[_CHALLENGER, 2]:
            named = self._violation or "before a restart"
            return f"decision {named} of the challenger was approved beyond the limits"
        if self.window.is_broken:
            return f"95 % of the last decisions took up to {self.window.p95_ms():.0f} ms"
        found = self.findings()
        if found.is_mute and self.rollout.share:
            n_bars = comparison.MIN_BARS_OF_HARM
            return f"the challenger, which decides, wished nothing for the last {n_bars} bars"
        if found.is_degraded:
            return (
                f"the challenger is worse by more than 30 %: loss "
                f"{100 * found.loss_degradation_fraction:+.1f} %, earned "
                f"{found.earned_challenger:.4f} against {found.earned_champion:.4f}"
            )
        return ""

    def evidence(self, besides: Collection[str] = ()) -> Evidence:
        """Return all that is known, with what else is against the next stage."""
        found, split = self.findings().record(), self.split()
        degradation, agreement = (
            None if found[name] is None else 100.0 * found[name]
            for name in ("loss_degradation_fraction", "agreement_fraction")
        )
        return Evidence(
            n_bars=found["n_bars"],
            n_rows=found["n_rows"],
            reasons_against=[*self.reasons_against(), *besides],
            judged_seconds=self.lived_ns / _NS_PER_S,
            champion=self._arm(_CHAMPION, found["loss_champion"], found["earned_champion"]),
            challenger=self._arm(_CHALLENGER, found["loss_challenger"], found["earned_challenger"]),
            loss_lower=found["loss_lower"],
            loss_upper=found["loss_upper"],
            loss_degradation_pct=degradation,
            earned_lower=found["earned_lower"],
            earned_upper=found["earned_upper"],
            agreement_pct=agreement,
            weight_distance=found["weight_distance"],
            target_correlation=found["target_correlation"],
            largest_target_difference=found["largest_target_difference"],
            window_p95_ms=self.window.p95_ms(),
            n_champion_units=split.n_champion,
            n_challenger_units=split.n_challenger,
            n_misplaced_units=split.n_misplaced,
            sample_ratio_p_value=split.p_value,
        )

    def _arm(self, arm: int, loss: float | None, earned: float | None) -> ArmFigures:
        n_decisions, n_refused, n_violations = self._shown.decided[arm].tolist()
        counts = self._shown.latencies[arm]
        return ArmFigures(
            n_decisions=n_decisions,
            n_refused=n_refused,
            n_violations=n_violations,
            p50_ms=quantile_ms(counts, 0.5),
            p95_ms=quantile_ms(counts, 0.95),
            loss=loss,
            earned_fraction=earned,
        )


def _units_due(rollout: Rollout, epoch: Epoch) -> tuple[int, int]:
    """Return how many units each arm is given, the champion first."""
    n_all = n_challenged = 0
    for portfolio in epoch.portfolios:
        universe = portfolio.universe or epoch.symbols()
        n_all += len(universe)
        n_challenged += len(challenged(rollout.id, portfolio.id, universe, rollout.share))
    return n_all - n_challenged, n_challenged


def _lay(bar: Bar, slice_: Slice, at: list[int]) -> None:
    """Put a slice's rows where their symbols are."""
    bar.close[at] = slice_.floats("close")
    for arm, prefix in enumerate(("", "challenger_")):
        up: Floats = bar.up[arm]
        up[at] = slice_.floats(f"{prefix}probability_up")
        bar.target[arm, at] = slice_.floats(f"{prefix}target_fraction")
        bar.weights[arm, at] = slice_.matrix(f"{prefix}weights")
