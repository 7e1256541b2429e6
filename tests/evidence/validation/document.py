"""How a validation document is put together and where it goes."""

import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.evidence.measurement import Measurement, Result, machine

_LIMITS_HEADING = "## What this does not show"

FOLDER = Path(__file__).parents[3] / "docs" / "validation"


def percent(fraction: float | None, digits: int = 1) -> str:
    """Write a fraction as percent; a dash where there is none.

    Examples
    --------
    >>> percent(0.031), percent(None)
    ('3.1 %', '-')
    """
    return "-" if fraction is None else f"{100.0 * fraction:.{digits}f} %"


def signed(value: float, interval: Iterable[float] = ()) -> str:
    """Write a signed number with its interval.

    Examples
    --------
    >>> signed(0.12, (0.07, 0.17))
    '+0.12 [+0.07, +0.17]'
    """
    ends = [f"{end:+.2f}" for end in interval]
    return f"{value:+.2f}" + (f" [{', '.join(ends)}]" if ends else "")


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a Markdown table.

    Examples
    --------
    >>> print(table(["arm", "D"], [["hard", "60 %"]]))
    | arm | D |
    |---|---|
    | hard | 60 % |
    """
    names = list(header)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    texts = [f"| {' | '.join(line)} |" for line in lines]
    texts[1] = f"|{'|'.join(lines[1])}|"
    return "\n".join(texts)


def verdicts(results: Mapping[str, tuple[Measurement, Result]]) -> str:
    """Write one line a measurement: what came out, what was promised, whether it holds."""
    return table(
        ["Command", "Value", "Unit", "Promise", "n", "Verdict"],
        [
            [
                f"`tradewind evidence {name}`",
                f"{result.value:g}",
                measurement.unit.replace("|", "\\|"),
                measurement.target.replace("|", "\\|"),
                f"{result.n:,}",
                "holds" if result.holds else "**missed**",
            ]
            for name, (measurement, result) in results.items()
        ],
    )


def run(measurements: Iterable[Measurement]) -> dict[str, tuple[Measurement, Result]]:
    """Measure, by name."""
    return {each.name: (each, each.measure()) for each in measurements}


def settings_line(settings: Mapping[str, Any]) -> str:
    """Write settings as `name value`, comma by comma."""
    return ", ".join(f"`{name}` {value}" for name, value in settings.items())


def reflowed(block: str) -> str:
    r"""Break the lines of prose and lists anew; headings and tables stay.

    Examples
    --------
    >>> print(reflowed("1. one\n   two\n2. three"))
    1. one two
    2. three
    """
    if block.startswith(("|", "#", "<")):
        return block
    items: list[str] = []
    for line in block.split("\n"):
        starts = not items or re.match(r"- |\d+\. ", line)
        if starts:
            items.append(line.strip())
        else:
            items[-1] += " " + line.strip()
    wrapped = []
    for item in items:
        indent = " " * len(match[0]) if (match := re.match(r"- |\d+\. ", item)) else ""
        wrapped.append(textwrap.fill(item, 100, subsequent_indent=indent, break_on_hyphens=False))
    return "\n".join(wrapped)


def write(name: str, command: str, sections: Iterable[str]) -> Path:
    """Write the document, with its command and the machine in its first lines."""
    here = machine()
    head = (
        f"<!-- Written by `{command}`; do not edit: change the measurement and run it again.\n"
        f"     {here['system']}, {here['cores']} cores, Python {here['python']}. -->\n"
    )
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / name
    blocks = "\n\n".join(sections).split("\n\n")
    path.write_text(head + "\n" + "\n\n".join(map(reflowed, blocks)) + "\n")
    return path


def put_section(name: str, section: str) -> Path:
    """Put a section into a document that is there: in its place, or before what it does not show.

    Its heading is its first line; the head of the document stays.
    """
    path = FOLDER / name
    heading = section.partition("\n")[0]
    fresh = "\n\n".join(map(reflowed, section.split("\n\n"))) + "\n\n"
    before, found, rest = path.read_text().partition(f"{heading}\n")
    if found:
        _, mark, after = rest.partition("\n## ")
        after = f"## {after}" if mark else ""
    else:
        before, mark, after = before.partition(_LIMITS_HEADING)
        after = mark + after
    path.write_text((before + fresh + after).rstrip("\n") + "\n")
    return path
