"""``alert-false-positives``: how often an alert fires on days on which nothing is wrong.

Quiet days (tests/evidence/quiet_days.py) become blocks of Prometheus by promtool; a real Prometheus
evaluates each rule's expression minute by minute, and a rule has fired on a day if a series of its
answer stood for as long as the rule waits. The value is the share of pairs of rule and day.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from streams.clock import wall_ns
from tests.alerts import rules_of
from tests.evidence.measurement import Measurement, Result
from tests.evidence.quiet_days import DAY_MIN, QuietDays, Series
from tests.metric_names import named
from tests.monitors import monitor

TARGET_PERCENT = 10.0
DAYS = 7
SEED = 11

# Windows reach back up to six hours; the first day is theirs.
_LEAD_DAYS = 1
_STEP_S = 60
_UNITS_S = {"s": 1, "m": 60, "h": 3_600}


def back_filled(series: list[Series], first_s: int, n_days: int, folder: Path) -> None:
    """Make blocks of series, a file a day: promtool reads it once for every two hours."""
    for day in range(n_days):
        text = folder / "day.txt"
        minutes = range(day * DAY_MIN, (day + 1) * DAY_MIN)
        times_s = [first_s + _STEP_S * minute for minute in minutes]
        with text.open("w") as file:
            for one in series:
                part = one._replace(values=one.values[minutes.start : minutes.stop])
                file.writelines(f"{line}\n" for line in part.lines(times_s))
            file.write("# EOF\n")
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        text.unlink()


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    """Run Prometheus on blocks, without anything to scrape; yield its address."""
    config = folder / "prometheus.yml"
    config.write_text("global: {}\n")
    options = (
        f"--config.file={config}",
        f"--storage.tsdb.path={folder}",
        "--storage.tsdb.retention.time=1y",
    )
    with monitor("prometheus", options, ready_s=60.0) as url:
        yield url


def asked(
    url: str, query: str, first_s: int, last_s: int, step_s: int = _STEP_S
) -> list[dict[str, Any]]:
    """Return the series of an answer, minute by minute."""
    words = urlencode({"query": query, "start": first_s, "end": last_s, "step": step_s})
    with urlopen(f"{url}/api/v1/query_range?{words}", timeout=120) as answer:  # noqa: S310  our own address
        said: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return said


def fired_on(values: list[tuple[float, str]], wait_s: int, first_s: int) -> set[int]:
    """Return the days on which a series has stood for as long as its rule waits."""
    days, since_s, before_s = set(), 0.0, -1.0
    for time_s, _ in values:
        if time_s - before_s > _STEP_S:
            since_s = time_s
        before_s = time_s
        if time_s - since_s >= wait_s:
            days.add(int(time_s - first_s) // (DAY_MIN * _STEP_S))
    return days


def measure() -> Result:
    """Back-fill the quiet days and evaluate every rule on them."""
    missing = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"{', '.join(missing)} not on PATH: .ci/packages prometheus promtool")
    rules, n_days = rules_of(), _LEAD_DAYS + DAYS
    day_s = DAY_MIN * _STEP_S
    first_s = (wall_ns() // 10**9 // day_s - n_days) * day_s
    series = list(QuietDays(n_days, SEED, first_s).series())
    known = {one.name for one in series}
    unknown = {name: named(rule["expr"]) - known for name, rule in rules.items()}
    blind = sorted(name for name, lacks in unknown.items() if lacks)
    begins_s = first_s + _LEAD_DAYS * day_s
    fired: dict[str, int] = {}
    n_answers = 0
    with tempfile.TemporaryDirectory() as folder:
        back_filled(series, first_s, n_days, Path(folder))
        with prometheus(Path(folder)) as url:
            for name, rule in rules.items():
                wait = rule.get("for", "0s")
                wait_s = int(wait[:-1]) * _UNITS_S[wait[-1]]
                answer = asked(url, rule["expr"], begins_s, begins_s + DAYS * day_s - _STEP_S)
                n_answers += sum(len(one["values"]) for one in answer)
                days = set().union(*(fired_on(one["values"], wait_s, begins_s) for one in answer))
                fired |= {name: len(days)} if days else {}
    pairs = len(rules) * DAYS
    percent = 100.0 * sum(fired.values()) / pairs
    return Result(
        value=round(percent, 2),
        holds=percent < TARGET_PERCENT and not blind,
        n=pairs,
        parts={
            "rules": len(rules),
            "days": DAYS,
            "series": len(series),
            "minutes_over_a_threshold": n_answers,
            "fired_days": fired,
            "without_series": blind,
        },
    )


ALERT_FALSE_POSITIVES = Measurement(
    "alert-false-positives",
    "% of pairs of rule and quiet day on which the alert fired",
    f"< {TARGET_PERCENT:g}",
    3,
    measure,
)
