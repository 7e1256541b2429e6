"""A range of a recorded run that begins in the middle of it, with its books as they stood there.

The states at its beginning are folded in this process from the nearest checkpoint, or from the
run's first record. Which of them it is decides nothing, only how long it takes.
"""

from collections.abc import Iterator
from pathlib import Path

from agents.run.terms import Changes
from agents.run.topic_backtest import TopicBacktest
from streams.codec import StateError
from streams.errors import TopicError
from streams.timestamps import format_ns
from streams.topics import MARKET_TICKS
from tables.checkpoint import Checkpoint
from tables.stores.run_checkpoints import RunCheckpoints


def recorded_from(
    home: Path, servers: str, run: str, asked: tuple[str, str | None], changes: Changes
) -> TopicBacktest:
    """Return the checked range from ``asked``, its first and last close or offsets.

    Raises
    ------
    TopicError
        If there is no such bar, or if nothing is left to tell how the books stood; the message says
        what is missing.
    SettingsError, ArtifactError
        As :meth:`TopicBacktest.check`.
    """
    topic = MARKET_TICKS.name
    alone = TopicBacktest(home, servers, run, topic, asked, fresh_book=True)
    alone.check()
    since_ns, missing = alone.range.from_ns, list[str]()
    for before in _beginnings(RunCheckpoints(home, run), since_ns, missing):
        test = TopicBacktest(
            home, servers, run, topic, (None, asked[1]), changes, begin=before, since_ns=since_ns
        )
        try:
            test.check()
        except TopicError as error:
            missing.append(str(error))
            continue
        if before is None and not test.range.is_whole:
            missing += test.range.remarks
        elif before is None or test.middle is not None:
            return test
    raise TopicError(
        f"how the books stood at {format_ns(since_ns)} cannot be told: {'; '.join(missing)}. "
        "--fresh-book begins with empty ones"
    )


def _beginnings(
    kept: RunCheckpoints, since_ns: int, missing: list[str]
) -> Iterator[Checkpoint | None]:
    """Yield the checkpoints before a close, the newest first, and the run's first record."""
    for close_ns in kept.closes_ns():
        if close_ns < since_ns:
            try:
                yield kept.load(close_ns)
            except StateError as error:
                missing.append(str(error))
    yield None
