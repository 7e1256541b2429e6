"""The trace of a seed: ``python -m tests.simulation.trace HOME MODELS SEED`` prints its digest."""

import logging
import sys
from pathlib import Path

from tests.simulation.chain import Simulation

if __name__ == "__main__":
    home, models, seed = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    print(Simulation(Path(home), models).play(int(seed)).trace)  # noqa: T201  the program's answer
