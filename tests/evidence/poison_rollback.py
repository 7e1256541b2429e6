"""``poison-rollback``: an update that was fed a poisoned day, and whether it ever serves.

The planted world before its drift: the champion knows the rule, so the truth about every candidate
is known from bars behind those of the gate. One day of the window has its labels turned round,
with inputs at the clip, and is repeated as a flood would; strengths from harmless to ruinous. What
is harmful in truth must be refused at once, and if a person promotes it all the same, the next
update must roll it back. Clean updates of the same seeds say what the gate costs.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from models import paired
from models.learning import stability, update
from models.learning.settings import RECOMMENDED, Settings
from models.learning.stability import Said, Stability
from models.specialists.fitting import Samples
from models.specialists.serving import Specialists
from tests.evidence import learning_streams
from tests.evidence.learning_streams import Stream
from tests.evidence.measurement import Measurement, Result

# Development used 1 and 520 to 529: there a champion was rolled back only if it was worse for
# certain, and 10 of 16 harmful ones stayed.
SEEDS = range(530, 540)
WINDOW_BARS, GATE_BARS, TRUTH_BARS = 42, 21, 100
HARMFUL = 0.05
# Rows of the poisoned day, repeated so often, under the recommended setting and without any hold.
FLOODS = (0, 1, 40)
FREE = replace(RECOMMENDED, strength=0.0, prior=0.0, passes=20)
ARMS: dict[str, Settings] = {"recommended": RECOMMENDED, "without a hold": FREE}
_CLIP = 5.0


def candidate(stream: Stream, settings: Settings, flood: int, begin: int) -> Specialists:
    """Update on a window whose last day is poisoned, and comes ``flood`` times."""
    samples = stream.scaled.samples(slice(begin, begin + WINDOW_BARS))
    if flood:
        samples = _poisoned(samples, learning_streams.N_SYMBOLS, flood)
    start = stream.base.specialists
    made = update.update(
        start, stream.base, (stream.scaled.past, samples), settings=settings, seed=begin
    )
    return made.specialists


def _poisoned(samples: Samples, n_rows: int, flood: int) -> Samples:
    last = Samples(*(part[-n_rows:] for part in samples))
    bad = last._replace(inputs=_CLIP * torch.sign(last.inputs), labels=1.0 - last.labels)
    return Samples(
        *(
            torch.cat([kept[:-n_rows], *([poison] * flood)])
            for kept, poison in zip(samples, bad, strict=True)
        )
    )


def judged(stream: Stream, champion: Specialists, other: Specialists, bars: range) -> Stability:
    """Hold two against each other on some bars; what rises earns what its probability stakes."""
    returns = stream.scaled.lessons.next_returns[bars.start : bars.stop]
    said = []
    for each in (champion, other):
        up = stream.probabilities(each, bars)
        said.append(Said(up, 0.1 * (2.0 * up - 1.0)))
    return stability.judge(said[0], said[1], returns, bars_per_year=252.0)


def case(seed: int, arm: str, flood: int) -> dict[str, Any]:
    """Make one candidate, judge it, and say what it is in truth."""
    stream = learning_streams.planted(seed)
    begin = stream.old.start - WINDOW_BARS
    gate = range(stream.old.start, stream.old.start + GATE_BARS)
    # Two months of the same world behind the gate, which no arm sees.
    truth = range(gate.stop, min(gate.stop + TRUTH_BARS, stream.bars.start))
    champion = stream.base.specialists
    new = candidate(stream, ARMS[arm], flood, begin)
    found = judged(stream, champion, new, gate)
    before, after = (stream.loss(each, truth).mean() for each in (champion, new))
    later = range(gate.start + 1, gate.stop + 1)
    return {
        "harm": float(after / before - 1.0),
        "lost": float((after - before) / (paired.UNINFORMED_NATS - before)),
        "refused": not found.passed,
        "reasons": list(found.reasons),
        "rolled_back": not judged(stream, champion, new, later).passed,
    }


def measure() -> Result:
    """Make every case, and count harmful ones that would serve."""
    cases = {
        (arm, flood): [case(seed, arm, flood) for seed in SEEDS] for arm in ARMS for flood in FLOODS
    }
    every = [each for of in cases.values() for each in of]
    harmful = [each for each in every if each["harm"] > HARMFUL]
    served = sum(not each["refused"] for each in harmful)
    stayed = sum(not each["rolled_back"] for each in harmful)
    clean = cases["recommended", 0]
    # What the gate itself promises, which is less: 5 % of the gain, not of the loss.
    losing = [each for each in every if each["lost"] > paired.TOLERANCE_FRACTION]
    return Result(
        value=served,
        holds=bool(harmful) and served == 0 and stayed == 0,
        n=len(every),
        parts={
            "harmful": len(harmful),
            "harmful_promoted_by_hand_and_not_rolled_back_by_the_next_update": stayed,
            "lost_more_of_the_gain_than_is_borne": len(losing),
            "lost_more_and_would_serve": sum(not each["refused"] for each in losing),
            "clean_updates": len(clean),
            "clean_updates_refused": sum(each["refused"] for each in clean),
            "cases": {
                f"{arm}, flood {flood}": {
                    "mean_harm": round(float(np.mean([each["harm"] for each in of])), 4),
                    "harmful": sum(each["harm"] > HARMFUL for each in of),
                    "refused": sum(each["refused"] for each in of),
                    "rolled_back": sum(each["rolled_back"] for each in of),
                }
                for (arm, flood), of in cases.items()
            },
        },
    )


POISON_ROLLBACK = Measurement(
    "poison-rollback",
    "harmful updates that would serve",
    "0 of all that are harmful in truth (more than 5 % loss), and each rolled back by the next "
    "update if it was promoted by hand",
    5,
    measure,
)
