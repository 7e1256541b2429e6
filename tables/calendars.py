"""Sessions of exchange calendars as artefacts: computed when an epoch is made, read by the fold.

The fold does not know the calendar library: its next release may correct a session, and a replay
must decide by the sessions that were live.
"""

from typing import Any

from models.risk.sessions import Sessions
from streams.errors import SettingsError
from streams.timestamps import NS_PER_SECOND


def encode_sessions(name: str, sessions: Sessions) -> dict[str, Any]:
    """Return sessions as a JSON document: whole seconds, each as the step from the one before."""
    times = [t for pair in zip(*sessions, strict=True) for t in pair]
    seconds = [t // NS_PER_SECOND for t in times]
    steps = [after - before for before, after in zip([0, *seconds], seconds, strict=False)]
    return {"calendar": name, "steps_s": steps}


def decode_sessions(document: Any) -> Sessions:  # noqa: ANN401  any JSON
    """Read sessions back.

    Raises
    ------
    SettingsError
        If the document is no list of sessions in rising order.
    """
    steps = document.get("steps_s") if isinstance(document, dict) else None
    if (
        not isinstance(steps, list)
        or len(steps) % 2
        or not all(isinstance(step, int) and step >= 0 for step in steps)
    ):
        raise SettingsError(f"{str(document)[:80]} is no calendar; make the epoch anew")
    times, now_s = [], 0
    for step in steps:
        now_s += step
        times.append(now_s * NS_PER_SECOND)
    return Sessions(tuple(times[::2]), tuple(times[1::2]))
