"""How an alert is tried: series just inside its threshold, then just outside, then back.

A trial has three phases, calm, loud and calm again, in samples of a minute. Calm is 9 % inside the
threshold and loud 1 % outside, so a threshold that moves by a tenth either way is noticed, and one
that is smoothed by a window is crossed at the window's end.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

DOCKER = Path(__file__).parents[1] / "docker"
RULES = DOCKER / "prometheus" / "alerts.yml"

# Samples after a phase's end by which everything has settled.
_SLACK = 5
_HOUR = 60


class Gauge(NamedTuple):
    """A series by its value in the calm and in the loud phase."""

    name: str
    calm: float
    loud: float

    def values(self, n_calm: int, n_loud: int, n_after: int) -> str:
        """Return its samples as promtool writes them."""
        parts = ((self.calm, n_calm), (self.loud, n_loud), (self.calm, n_after))
        return " ".join(f"{value}+0x{n - 1}" for value, n in parts)


class Rate(NamedTuple):
    """A series by its slope per second in the calm and in the loud phase."""

    name: str
    calm: float
    loud: float

    def values(self, n_calm: int, n_loud: int, n_after: int) -> str:
        """Return its samples as promtool writes them."""
        at, parts = 0.0, []
        for per_s, n in ((self.calm, n_calm), (self.loud, n_loud), (self.calm, n_after)):
            step = per_s * 60
            parts.append(f"{at + step:.6f}+{step:.6f}x{n - 1}")
            at += step * n
        return " ".join(parts)


class Event(NamedTuple):
    """A counter that one event raises when the loud phase begins; born by it if ``before`` is 0."""

    name: str
    before: int
    by: int = 1

    def values(self, n_calm: int, n_loud: int, n_after: int) -> str:
        """Return its samples as promtool writes them."""
        earlier = f"{self.before}+0x{n_calm - 1}" if self.before else f"_x{n_calm}"
        return f"{earlier} {self.before + self.by}+0x{n_loud + n_after - 1}"


class Gone(NamedTuple):
    """A series that moves while it is calm, and is not there while it is loud."""

    name: str

    def values(self, n_calm: int, n_loud: int, n_after: int) -> str:
        """Return its samples as promtool writes them."""
        return f"1+60x{n_calm - 1} _x{n_loud} 1+60x{n_after - 1}"


class Behind(NamedTuple):
    """A time that follows the clock, so many seconds behind it in the calm and the loud phase."""

    name: str
    calm: float
    loud: float

    def values(self, n_calm: int, n_loud: int, n_after: int) -> str:
        """Return its samples as promtool writes them."""
        at_s, parts = 0, []
        for behind_s, n in ((self.calm, n_calm), (self.loud, n_loud), (self.calm, n_after)):
            parts.append(f"{at_s - behind_s}+60x{n - 1}")
            at_s += 60 * n
        return " ".join(parts)


Series = Gauge | Rate | Event | Gone | Behind


class Trial(NamedTuple):
    """One way in which an alert fires; ``settle_min`` is its expression's window."""

    alert: str
    series: tuple[Series, ...]
    labels: Mapping[str, str] = {}
    settle_min: int = 0

    def document(self, rules: Path) -> dict[str, Any]:
        """Return the trial as promtool takes it: quiet before, firing in time, resolved after."""
        rule = rules_of()[self.alert]
        wait = int(rule.get("for", "0m").rstrip("mh")) * (60 if "h" in rule.get("for", "") else 1)
        lasts = _HOUR if any(isinstance(one, Event) for one in self.series) else 0
        n_calm = max(self.settle_min, lasts) + 2 * wait + _SLACK
        n_loud = max(self.settle_min + wait, lasts) + _SLACK
        n_after = self.settle_min + 2 * _SLACK
        fires = n_calm + self.settle_min + wait
        labels = {
            "__name__": "ALERTS",
            "alertname": self.alert,
            "alertstate": "firing",
            "severity": rule["labels"]["severity"],
            **self.labels,
        }
        said = ", ".join(f'{key}="{value}"' for key, value in labels.items())
        # A mean over a window crosses the threshold when nine tenths of the window are loud.
        crosses = n_calm + int(0.9 * self.settle_min)
        times = [n_calm - 1, *([crosses + wait - 1] if wait else []), fires]
        times.append(n_calm + n_loud + self.settle_min + _SLACK)
        return {
            "rule_files": [str(rules)],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [
                        {"series": one.name, "values": one.values(n_calm, n_loud, n_after)}
                        for one in self.series
                    ],
                    "promql_expr_test": [
                        {
                            "expr": f'ALERTS{{alertname="{self.alert}", alertstate="firing"}}',
                            "eval_time": f"{time}m",
                            "exp_samples": (
                                [{"labels": f"{{{said}}}", "value": 1}] if time == fires else []
                            ),
                        }
                        for time in times
                    ],
                }
            ],
        }


def rules_of(path: Path = RULES) -> dict[str, dict[str, Any]]:
    """Return the rules of a file by the names of their alerts."""
    groups = yaml.safe_load(path.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def holds(trials: list[Trial], rules: Path, folder: Path) -> tuple[bool, str]:
    """Say whether the rules pass some trials, and what promtool says."""
    files = []
    for number, trial in enumerate(trials):
        file = folder / f"{trial.alert}-{number}.yml"
        file.write_text(yaml.safe_dump(trial.document(rules), width=10**6))
        files.append(str(file))
    done = subprocess.run(
        ["promtool", "test", "rules", *files], capture_output=True, text=True, check=False
    )
    return done.returncode == 0, done.stdout + done.stderr


_COMPARED = re.compile(r"(>|<|==) ([\d.e]+)")
_OTHER = {">": "<", "<": ">", "==": "!="}


def mutants(rule: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give what a slip of the pen could make of a rule, each with its name."""
    expr = rule["expr"]
    for found in _COMPARED.finditer(expr):
        sign, number = found[1], float(found[2])
        changed = [f"{_OTHER[sign]} {found[2]}"]
        if number == 0 and sign == ">":
            changed = ["> 2", ">= 0"]
        elif sign != "==":
            changed += [f"{sign} {number * 1.1}", f"{sign} {number * 0.9}"]
        for new in changed:
            mutant = f"{expr[: found.start()]}{new}{expr[found.end() :]}"
            yield f"{found[0]} at {found.start()} as {new}", {**rule, "expr": mutant}
    wait = rule.get("for")
    if wait is not None:
        yield "no wait", {key: value for key, value in rule.items() if key != "for"}
        yield "twice the wait", {**rule, "for": f"{2 * int(wait[:-1])}{wait[-1]}"}
