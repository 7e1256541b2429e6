"""What of docker/systemd can be judged: systemd's own verdict where it is there, and our rules."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agents.cli.live_plan import FIXED_PORTS, METRICS_PORTS
from tests.deployment import DOCKER, composed, environment, refused, words_of

UNITS = DOCKER / "systemd"
PROGRAM = "/opt/tradewind/bin/tradewind"

# Of 10, by `systemd-analyze security`: below 2 it says OK.
EXPOSURE_MOST = 2.0

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_JOBS = frozenset({"prepare", "checkpoint", "shelve", "retain", "verify"})
# Where a role listens and whom it asks differs between one machine and a network of containers.
_OF_PLACE = frozenset({"--host", "--name"})

Unit = dict[str, list[str]]


def read(path: Path) -> Unit:
    """Return a unit's settings; each may stand several times."""
    found: Unit = {}
    for line in path.read_text().replace("\\\n", " ").splitlines():
        key, sign, value = line.partition("=")
        if sign and not line.startswith(("#", "[")):
            found.setdefault(key, []).append(value)
    return found


def units(folder: Path = UNITS) -> dict[str, Unit]:
    """Return the services by their role or job, with what the common drop-in adds."""
    common = read(folder / "tradewind-.service.d" / "contained.conf")
    return {
        path.stem.removeprefix("tradewind-"): {**common, **read(path)}
        for path in sorted(folder.glob("tradewind-*.service"))
    }


def words(unit: Unit) -> list[str]:
    """Return what the program is told, the variables filled in."""
    given = environment("dev")
    (line,) = unit["ExecStart"]
    filled = _VARIABLE.sub(lambda found: given.get(found[1], ""), line)
    return shlex.split(filled)[1:]


def options(line: list[str]) -> set[str]:
    """Return the names of the options in a command line."""
    return {word.partition("=")[0] for word in line if word.startswith("--")}


def unit_faults(folder: Path = UNITS) -> list[str]:
    """Return what is wrong with the units, by our rules."""
    found = units(folder)
    faults = [
        f"unit {name}: {said}" for name, unit in found.items() for said in _of_unit(name, unit)
    ]
    missing = set(METRICS_PORTS) - set(found)
    faults += [f"unit {name}: there is none" for name in sorted(missing)]
    target = " ".join(read(folder / "tradewind.target")["Wants"]).split()
    for name in sorted(set(METRICS_PORTS) - {"learning", "rollout"}):
        if f"tradewind-{name}.service" not in target:
            faults.append(f"unit {name}: the target does not want it")
    return faults


def _of_unit(name: str, unit: Unit) -> Iterator[str]:
    if not unit["ExecStart"][0].startswith(f"{PROGRAM} "):
        yield f"starts {unit['ExecStart'][0].split()[0]}; expected {PROGRAM}"
    if why := refused(words(unit)):
        yield f"is told {' '.join(words(unit))}: {why}"
    yield from _of_life(unit)
    if any("PASSWORD" in each or "://" in each for each in unit.get("Environment", [])):
        yield "has a secret or an address in its environment; expected LoadCredential"
    if name not in _JOBS:
        yield from _of_role(name, unit)
    elif unit.get("Type") != ["oneshot"]:
        yield f"is of type {unit.get('Type')}; expected oneshot"


def _of_life(unit: Unit) -> Iterator[str]:
    for key in ("MemoryMax", "CPUQuota", "TasksMax", "TimeoutStopSec"):
        if key not in unit:
            yield f"has no {key}"
    if unit.get("StartLimitIntervalSec") != ["0"]:
        yield "is given up after some restarts; expected StartLimitIntervalSec=0"
    if unit.get("Requires"):
        yield f"requires {unit['Requires'][0]}, and ends with it; expected Wants and After"


def _of_role(name: str, unit: Unit) -> Iterator[str]:
    if unit.get("Restart") != ["always"]:
        yield f"restarts {unit.get('Restart')}; expected always"
    if "tradewind-prepare.service" not in unit.get("Wants", [""])[0].split():
        yield "does not want tradewind-prepare.service"
    if "tradewind-prepare.service" not in unit.get("After", [""])[0].split():
        yield "does not start after tradewind-prepare.service"
    port = FIXED_PORTS[METRICS_PORTS[name]]
    if not re.search(rf"--(metrics|web)-port={port}\b", " ".join(words(unit))):
        yield f"does not answer /metrics at {port}"
    there = options(words_of(composed("dev")["services"][name]))
    if differing := (options(words(unit)) ^ there) - _OF_PLACE:
        yield f"has other options than its container: {', '.join(sorted(differing))}"


def is_analysed() -> bool:
    """Return whether systemd can be asked."""
    return shutil.which("systemd-analyze") is not None


def analysed(folder: Path = UNITS) -> tuple[str, dict[str, float]]:
    """Return what systemd says of the units, empty if nothing, and how exposed each service is."""
    with tempfile.TemporaryDirectory() as copied:
        place = Path(copied) / "units"
        shutil.copytree(folder, place)
        for path in place.glob("*.service"):
            # It looks whether the program is there, and here it is not.
            path.write_text(path.read_text().replace(PROGRAM, "/bin/true"))
        found = {**os.environ, "SYSTEMD_UNIT_PATH": f"{place}:"}
        every = [str(path) for path in place.glob("tradewind*.*") if path.suffix in _KINDS]
        said = _said(["verify", "--man=no", *every], found)
        exposed = {}
        for path in sorted(place.glob("*.service")):
            told = _said(["security", "--offline=true", "--no-pager", str(path)], found)
            level = re.search(r"Overall exposure level for .*: ([\d.]+)", told)
            exposed[path.stem.removeprefix("tradewind-")] = float(level[1]) if level else 10.0
    return said, exposed


_KINDS = frozenset({".service", ".target", ".timer"})


def _said(arguments: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).strip()
