"""``tradewind evidence``: run the measurement behind a number and print what came out."""

import importlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

_Names = Annotated[list[str] | None, typer.Argument(help="Names of measurements.")]
_REPORT = Path("docs/validation/evidence.json")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(evidence)


def evidence(
    names: _Names = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line each.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="Name all measurements.")] = False,
    run_all: Annotated[bool, typer.Option("--all", help="Run all and write the report.")] = False,
) -> None:
    """Measure; exit 1 if a target was missed. A missed figure is printed as it is."""
    catalogue = _catalogue()
    if list_all:
        for name, measurement in catalogue.items():
            typer.echo(f"{name:20} {measurement.target} [{measurement.unit}]")
        return
    wanted = list(catalogue) if run_all else names or []
    unknown = [name for name in wanted if name not in catalogue]
    if unknown or not wanted:
        raise typer.BadParameter(
            f"was {', '.join(unknown) or 'empty'}; expected of {', '.join(catalogue)}"
        )
    rows = [_measure(catalogue[name], as_json=as_json) for name in wanted]
    if run_all:
        _REPORT.parent.mkdir(parents=True, exist_ok=True)
        _REPORT.write_text(json.dumps(rows, indent=1) + "\n")
    if not all(row["holds"] for row in rows):
        raise typer.Exit(1)


def _catalogue() -> Any:  # noqa: ANN401  the catalogue's type lives with the tests
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module("tests.evidence.catalogue").CATALOGUE
    except ModuleNotFoundError as error:
        raise typer.BadParameter(
            "the measurements live in the repository's tests: run this from a checkout"
        ) from error


def _measure(measurement: Any, *, as_json: bool) -> dict[str, Any]:  # noqa: ANN401  see above
    typer.echo(f"{measurement.name}: about {measurement.minutes:g} min", err=True)
    result = measurement.measure()
    machine = importlib.import_module("tests.evidence.measurement").machine()
    row = {
        "name": measurement.name,
        "value": result.value,
        "unit": measurement.unit,
        "target": measurement.target,
        "holds": result.holds,
        "n": result.n,
        "peer": result.peer,
        "ratio": result.ratio,
        "parts": dict(result.parts),
        "machine": machine,
    }
    typer.echo(json.dumps(row) if as_json else _spoken(row))
    return row


def _spoken(row: dict[str, Any]) -> str:
    parts = ", ".join(f"{name} {value}" for name, value in row["parts"].items())
    held = "holds" if row["holds"] else "MISSED"
    return f"{row['name']} = {row['value']} {row['unit']} (target {row['target']}): {held}; {parts}"
