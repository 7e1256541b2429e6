"""Stories by seed: the same rules as hypothesis plays, without its overhead, in any number.

``python -m tests.simulation.bulk STEPS [FIRST_SEED]`` plays and prints what was done.
"""

import logging
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.simulation.judge import Violation
from tests.simulation.rules import RULES
from tests.simulation.setting import Draw, setting
from tests.simulation.story import Story, Tally

STORY_STEPS = 150

# Stories after which a tally is kept.
_KEPT_EVERY = 100

_ACTIONS = [action for action, _ in RULES]
_WEIGHTS = [weight for _, weight in RULES]


def begin(root: Path, seed: int) -> tuple[Story, Draw]:
    """Draw the portfolio of a story, and fold its first bars."""
    draw = random.Random(seed)  # noqa: S311  a seeded experiment
    story = Story(root, setting(draw), has_hours=draw.random() < 0.3)
    return story.warm(n_symbols=draw.choice((3, 4, 4, 4))), draw


def tell(story: Story, draw: Draw, n_steps: int) -> None:
    """Let things happen until the story has so many steps."""
    while story.steps < n_steps:
        draw.choices(_ACTIONS, _WEIGHTS)[0](story, draw)


def play(root: Path, seed: int, n_steps: int = STORY_STEPS) -> Story:
    """Play one story to its end; a violation names its seed."""
    story, draw = begin(root, seed)
    try:
        tell(story, draw, n_steps)
    except Violation as violation:
        violation.add_note(f"in story {seed}")
        raise
    return story


def play_many(n_steps: int, first_seed: int, kept: Path | None = None) -> Tally:
    """Play stories until so many steps are done; the first violation ends it.

    With a file the tally goes on where an interrupted run of the same seeds left it.
    """
    tally = Tally()
    if kept is not None and kept.exists():
        tally = msgspec.json.decode(kept.read_bytes(), type=Tally)
    with tempfile.TemporaryDirectory() as folder:
        while tally.steps < n_steps:
            tally.add(play(Path(folder), first_seed + tally.stories))
            if kept is not None and tally.stories % _KEPT_EVERY == 0:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(msgspec.json.encode(tally))
    return tally


def steps_to_a_defect(n_steps: int, first_seed: int) -> tuple[int, str]:
    """Play stories until one fails or so many steps are done; say after how many, and what."""
    steps = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in _from(first_seed):
            story = None
            try:
                story, draw = begin(Path(folder), seed)
                tell(story, draw, STORY_STEPS)
            except Exception as error:  # noqa: BLE001  whatever a defect raises has found it
                kind = "judge, " if isinstance(error, Violation) else f"{type(error).__name__}: "
                return steps + (story.steps if story else 0), f"{kind}{error}"
            steps += story.steps
            if steps >= n_steps:
                return steps, ""
    return steps, ""


def _from(seed: int) -> Iterator[int]:
    while True:
        yield seed
        seed += 1


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(play_many(int(sys.argv[1]), int((*sys.argv, "1")[2])))  # noqa: T201  a command speaks
