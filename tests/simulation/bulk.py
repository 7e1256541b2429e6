"""Stories by seed: the same rules as hypothesis plays, without its overhead, in any number.

``python -m tests.simulation.bulk STEPS [FIRST_SEED]`` plays and prints what was done.
"""

import logging
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.simulation.judge import Violation
from tests.simulation.rules import RULES
from tests.simulation.setting import setting
from tests.simulation.story import Story, Tally

STORY_STEPS = 150

_ACTIONS = [action for action, _ in RULES]
_WEIGHTS = [weight for _, weight in RULES]


def play(root: Path, seed: int, n_steps: int = STORY_STEPS) -> Story:
    """Play one story to its end; a violation names its seed."""
    draw = random.Random(seed)  # noqa: S311  a seeded experiment
    story = Story(root, setting(draw), has_hours=draw.random() < 0.3).warm(
        n_symbols=draw.choice((3, 4, 4, 4))
    )
    try:
        while story.steps < n_steps:
            draw.choices(_ACTIONS, _WEIGHTS)[0](story, draw)
    except Violation as violation:
        violation.add_note(f"in story {seed}")
        raise
    return story


def play_many(n_steps: int, first_seed: int) -> Tally:
    """Play stories until so many steps are done; the first violation ends it."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        for seed in _from(first_seed):
            if tally.steps >= n_steps:
                return tally
            tally.add(play(Path(folder), seed))
    return tally


def _from(seed: int) -> Iterator[int]:
    while True:
        yield seed
        seed += 1


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(play_many(int(sys.argv[1]), int((*sys.argv, "1")[2])))  # noqa: T201  a command speaks
