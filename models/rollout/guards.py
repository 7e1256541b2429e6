"""What a rollout keeps to; latency is judged by a window, not by a single slow decision."""

from collections import deque
from typing import NamedTuple


class LatencyRule(NamedTuple):
    """What a window must hold, and what its 95th percentile may be.

    Attributes
    ----------
    max_p95_ms : float
        Above this the challenger goes.
    min_decisions : int
    min_span_ns : int
        The window is the shortest one behind now that has both: one burst of a bar is none.
    """

    max_p95_ms: float = 200.0
    min_decisions: int = 200
    min_span_ns: int = 10 * 10**9


MOST_DECISIONS = 20_000
"""Held at most; a window that would need more is cut to these."""


_DEFAULT = LatencyRule()

LEAST_CORRELATION = 0.95
"""The customer's: a challenger whose wishes differ more is no successor, but another strategy."""


class Rules(NamedTuple):
    """What a rollout keeps to.

    Attributes
    ----------
    latency : LatencyRule
        What is slower ends it.
    least_correlation : float
        Of both arms' targets, which a shadow must exceed to be left; 0 asks for none.
    """

    latency: LatencyRule = _DEFAULT
    least_correlation: float = LEAST_CORRELATION


class Timed(NamedTuple):
    """When a decision was sent, and how long it took from the time its bar was due."""

    sent_ns: int
    latency_ms: float


class LatencyWindow:
    """The last decisions, as many as the rule needs.

    Parameters
    ----------
    rule : LatencyRule

    Examples
    --------
    >>> window = LatencyWindow()
    >>> for second in range(200):
    ...     window.add(Timed(second * 10**9, 300.0))
    >>> window.p95_ms(), window.is_broken
    (300.0, True)
    """

    def __init__(self, rule: LatencyRule = _DEFAULT) -> None:
        self._rule = rule
        self._held: deque[Timed] = deque(maxlen=MOST_DECISIONS)

    def add(self, decision: Timed) -> None:
        """Take the next decision, and let go what the window needs no more."""
        self._held.append(decision)
        while self._is_full(1):
            self._held.popleft()

    def _is_full(self, without: int = 0) -> bool:
        if not without and len(self._held) == MOST_DECISIONS:
            return True
        if len(self._held) < self._rule.min_decisions + without:
            return False
        return self._held[-1].sent_ns - self._held[without].sent_ns >= self._rule.min_span_ns

    def p95_ms(self) -> float | None:
        """Return the 95th percentile (nearest rank); None while there are too few."""
        if not self._is_full():
            return None
        ordered = sorted(each.latency_ms for each in self._held)
        return ordered[-(-95 * len(ordered) // 100) - 1]

    @property
    def is_broken(self) -> bool:
        """Whether decisions take longer than is borne."""
        found = self.p95_ms()
        return found is not None and found > self._rule.max_p95_ms
