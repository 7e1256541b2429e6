"""The program ``tradewind``: verbs for people; each module registers its own."""

import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from streams.errors import SettingsError
from streams.secret_files import read_secrets

# In the order in which the help lists them.
MODULES = (
    "demo",
    "replay",
    "verify_run",
    "backtest",
    "train",
    "learn",
    "models",
    "stack",
    "prepare",
    "worker",
    "clock",
    "archive",
    "forensics",
    "learning",
    "rollout",
    "audit",
    "web",
    "risk",
    "explain",
    "checkpoint",
    "book",
    "dead_letters",
    "topics",
    "token",
    "spill",
    "metrics",
    "config",
    "stores",
    "mlflow",
    "evidence",
)

# These start again after a crash, and importing the other commands was half of their start.
_ROLES = ("worker", "clock", "archive", "forensics", "learning", "web")


def program(modules: Sequence[str] = MODULES) -> typer.Typer:
    """Return the program with the commands of some modules."""
    app = typer.Typer(
        name="tradewind",
        help="Market ticks on Kafka become risk-checked trading decisions.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        # With one command alone typer would take its name for an argument.
        callback=lambda: None,
    )
    for module in modules:
        import_module(f"agents.cli.{module}").register(app)
    return app


def main() -> None:
    """Run the program."""
    try:
        read_secrets()
    except SettingsError as error:
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        raise SystemExit(1) from error
    asked = sys.argv[1:2]
    program(asked if asked and asked[0] in _ROLES else MODULES)()
