"""``alerts-proof``: every alert fires and resolves in time, and every slip in a rule is noticed.

Real promtool runs each alert's trials (tests/trials.py) on the rules as they are, and then on
copies with one slip each: a threshold moved by a tenth, a comparison turned round, a wait left out
or doubled. The value is how many slips pass unnoticed.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.alerts import holds, mutants, rules_of
from tests.evidence.measurement import Measurement, Result
from tests.trials import TRIALS


def unnoticed(name: str, rule: dict[str, Any], folder: Path) -> tuple[list[str], int]:
    """Return the slips in a rule that its trials do not notice, and how many were tried."""
    trials = [trial for trial in TRIALS if trial.alert == name]
    passed, n_slips = [], 0
    for slip, changed in mutants(rule):
        n_slips += 1
        file = folder / "slip.yml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "slip", "rules": [changed]}]}))
        if holds(trials, file, folder)[0]:
            passed.append(f"{name}: {slip}")
    return passed, n_slips


def measure() -> Result:
    """Run all trials on the rules as they are, then each alert's on its slips."""
    if shutil.which("promtool") is None:
        raise SystemExit("promtool is not on PATH: .ci/packages promtool amtool")
    rules = rules_of()
    passed: list[str] = []
    n_slips = 0
    with tempfile.TemporaryDirectory() as folder:
        whole, said = holds(TRIALS, Path("docker/prometheus/alerts.yml").resolve(), Path(folder))
        for name, rule in rules.items():
            found, n = unnoticed(name, rule, Path(folder))
            passed += found
            n_slips += n
    untried = sorted(set(rules) - {trial.alert for trial in TRIALS})
    return Result(
        value=len(passed),
        holds=whole and not passed and not untried,
        n=n_slips,
        parts={
            "alerts": len(rules),
            "trials": len(TRIALS),
            "trials_hold": whole,
            "untried": untried,
            "unnoticed": passed,
            "said": "" if whole else said,
        },
    )


ALERTS_PROOF = Measurement(
    "alerts-proof",
    "slips in the rules of alerts that their trials do not notice",
    "0, and every alert fires and resolves in time",
    3,
    measure,
)
