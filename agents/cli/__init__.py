"""The program ``tradewind``: verbs for people; each module registers its own."""

import typer

from agents.cli import (
    archive,
    backtest,
    book,
    clock,
    dead_letters,
    demo,
    evidence,
    models,
    replay,
    risk,
    stack,
    stores,
    train,
    web,
    worker,
)

app = typer.Typer(
    name="tradewind",
    help="Market ticks on Kafka become risk-checked trading decisions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (
    demo,
    replay,
    backtest,
    train,
    models,
    stack,
    worker,
    clock,
    archive,
    web,
    risk,
    book,
    dead_letters,
    stores,
    evidence,
):
    module.register(app)


def main() -> None:
    """Run the program."""
    app()
