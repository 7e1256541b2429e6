"""The program ``tradewind``: verbs for people; each module registers its own."""

import typer

from agents.cli import stack, worker

app = typer.Typer(
    name="tradewind",
    help="Market ticks on Kafka become risk-checked trading decisions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
stack.register(app)
worker.register(app)


def main() -> None:
    """Run the program."""
    app()
