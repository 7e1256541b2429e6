"""A rollout as a fold over acts: shadow, 5 %, 25 %, all, done, and back at any time.

A challenger goes on only where its evidence says so; no data is no evidence. Where it decides for
all, the champion still wishes beside it, for a stage like the others: what only shows then is
guarded as well. An act that cannot be is refused and changes nothing. Every transition carries what
was known when it was made.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from models.errors import Refused

_HOUR_NS = 3_600 * 10**9

DWELL_NS = 7 * 24 * _HOUR_NS
"""How long a stage lasts before it may end by itself."""

KEPT_NS = 28 * 24 * _HOUR_NS
"""How long the replaced champion stays at hand: till then a finished rollout can be undone."""

MOST_TRANSITIONS = 100
"""A rollout that was held and resumed more often is ended by hand."""

State = Literal["running", "held", "done", "rolled_back"]
Kind = Literal["start", "advance", "hold", "resume", "rollback"]


class Stage(NamedTuple):
    """A stage by name, with the share of portfolios' symbols that the challenger decides for."""

    name: str
    share: float


STAGES = (Stage("shadow", 0.0), Stage("5%", 0.05), Stage("25%", 0.25), Stage("100%", 1.0))


class Act(NamedTuple):
    """What is wanted, by whom, when, why, and what is known.

    Attributes
    ----------
    kind : Kind
    at_ns : int
    by : str
        A person, or ``automatic``.
    reason : str
    reasons_against : tuple of str
        Why the evidence does not carry an advance; none if it does.
    evidence : mapping
        JSON values.
    """

    kind: Kind
    at_ns: int
    by: str
    reason: str = ""
    reasons_against: tuple[str, ...] = ("NO_EVIDENCE",)
    evidence: Mapping[str, Any] = {}


class Transition(NamedTuple):
    """An act that was done: the stage and the state that it led to."""

    kind: Kind
    at_ns: int
    by: str
    reason: str
    stage: str
    state: State
    evidence: Mapping[str, Any]


class Rollout(NamedTuple):
    """How a rollout stands.

    Attributes
    ----------
    id, champion, challenger : str
        Its name, and digests of two model sets.
    dwell_ns : int
    stage : int
        Position in ``STAGES``.
    state : State
    entered_ns : int
        When this stage began, or the rollout ended.
    transitions : tuple of Transition
        The oldest first.
    """

    id: str
    champion: str
    challenger: str
    dwell_ns: int
    stage: int
    state: State
    entered_ns: int
    transitions: tuple[Transition, ...]

    @property
    def is_over(self) -> bool:
        """Whether one model set decides alone."""
        return self.state in {"done", "rolled_back"}

    @property
    def share(self) -> float:
        """Share of portfolios' symbols that the challenger decides for."""
        return 0.0 if self.state == "rolled_back" else STAGES[self.stage].share

    @property
    def models(self) -> str:
        """The digest of the models that decide where the challenger does not."""
        return self.challenger if self.state == "done" else self.champion


def start(name: str, champion: str, challenger: str, act: Act, dwell_ns: int = DWELL_NS) -> Rollout:
    """Begin in shadow.

    Raises
    ------
    Refused
        ``SAME_MODELS`` if both are one; ``BAD_DWELL`` if a stage would last no time.
    """
    if champion == challenger:
        raise Refused("SAME_MODELS", "models", challenger, "others than those that decide")
    if dwell_ns < 1:
        raise Refused("BAD_DWELL", "dwell", dwell_ns, "a time above zero")
    begun = Rollout(name, champion, challenger, dwell_ns, 0, "running", act.at_ns, ())
    return _done(begun, act)


def step(rollout: Rollout, act: Act) -> Rollout:
    """Let a rollout go on, stand, or go back.

    Raises
    ------
    Refused
        ``NOT_NOW`` if its state does not allow it, ``NO_EVIDENCE`` if an advance is not carried by
        what is known, ``TOO_LATE`` if the replaced champion is no more kept for certain.

    Examples
    --------
    >>> begun = start("r1", "a", "b", Act("start", 0, "me"))
    >>> step(begun, Act("advance", 1, "me", reasons_against=())).share
    0.05
    >>> step(begun, Act("advance", 1, "me"))
    Traceback (most recent call last):
    models.errors.Refused: NO_EVIDENCE: evidence was 'NO_EVIDENCE'; expected no reason against ...
    """
    _check_state(rollout, act)
    if act.kind == "hold":
        return _done(rollout._replace(state="held"), act)
    if act.kind == "resume":
        return _done(rollout._replace(state="running"), act)
    if act.kind == "rollback":
        if rollout.state == "done" and act.at_ns - rollout.entered_ns > KEPT_NS:
            raise Refused("TOO_LATE", "rollback", rollout.id, "at most 28 days after its end")
        return _done(rollout._replace(state="rolled_back", entered_ns=act.at_ns), act)
    if act.reasons_against:
        raise Refused(
            "NO_EVIDENCE",
            "evidence",
            ", ".join(act.reasons_against),
            "no reason against the next stage",
        )
    entered = rollout._replace(entered_ns=act.at_ns)
    if rollout.stage == len(STAGES) - 1:
        return _done(entered._replace(state="done"), act)
    return _done(entered._replace(stage=rollout.stage + 1), act)


def is_due(rollout: Rollout, now_ns: int) -> bool:
    """Tell whether a stage has lasted long enough to end by itself."""
    return rollout.state == "running" and now_ns - rollout.entered_ns >= rollout.dwell_ns


def overdue_ns(rollout: Rollout, now_ns: int) -> int:
    """Return for how long a stage has waited for evidence since it could end by itself.

    Examples
    --------
    >>> begun = start("r1", "a", "b", Act("start", 0, "me"), dwell_ns=10)
    >>> overdue_ns(begun, 9), overdue_ns(begun, 12)
    (0, 2)
    """
    return now_ns - rollout.entered_ns - rollout.dwell_ns if is_due(rollout, now_ns) else 0


_ALLOWED: dict[Kind, frozenset[State]] = {
    "start": frozenset(),
    "advance": frozenset({"running"}),
    "hold": frozenset({"running"}),
    "resume": frozenset({"held"}),
    "rollback": frozenset({"running", "held", "done"}),
}


def _check_state(rollout: Rollout, act: Act) -> None:
    allowed = _ALLOWED[act.kind]
    if rollout.state not in allowed:
        expected = f"{' or '.join(sorted(allowed)) or 'no rollout yet'} for {act.kind}"
        raise Refused("NOT_NOW", "state", rollout.state, expected)
    if act.kind != "rollback" and len(rollout.transitions) >= MOST_TRANSITIONS:
        raise Refused("TOO_MANY", "transitions", len(rollout.transitions), "a rollback, or its end")


def _done(rollout: Rollout, act: Act) -> Rollout:
    made = Transition(
        act.kind,
        act.at_ns,
        act.by,
        act.reason,
        STAGES[rollout.stage].name,
        rollout.state,
        act.evidence,
    )
    return rollout._replace(transitions=(*rollout.transitions, made))
