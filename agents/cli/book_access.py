"""What the commands about a book share: which stack and run, who says it, and where it stands."""

import asyncio
import getpass
import json
import re
from typing import Annotated, Any, NamedTuple

import typer

from agents.cli.admin_act import admin_act
from agents.cli.book_log import BookLog
from agents.cli.parts import parts_of
from streams.brokers import stack_home
from streams.clock import random_id, wall_ns
from streams.errors import SettingsError
from streams.instructions import BookOpen, Instruction, LimitChange, RiskParity, TradingState
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts

Stack = Annotated[str, typer.Option("--name", help="The stack.")]
Run = Annotated[str, typer.Option("--run", help="A run of the stack; empty: the live one.")]

# What a run can be called: its topics begin with it.
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class By(NamedTuple):
    """Whom a change is for, who makes it, in which role, and why."""

    portfolio: str
    actor: str | None
    role: str
    reason: str

    def fields(self) -> dict[str, Any]:
        """Return the fields of a change, with an id of its own and the present time."""
        return {
            "portfolio": self.portfolio,
            "ts_event": wall_ns(),
            "change_id": random_id(),
            "actor": self.actor or getpass.getuser(),
            "role": one_of("role", self.role, ("trader", "researcher", "admin")),
            "reason": self.reason,
        }


def servers_of(stack: str) -> str:
    """Return the address of a stack's broker.

    Raises
    ------
    SettingsError
        If it does not run.
    """
    broker = parts_of(stack_home(stack))[0].state()
    if not broker.running or broker.address is None:
        raise SettingsError(f"the broker of stack {stack} does not run; start it: tradewind up")
    return broker.address


def log_of(stack: str, run: str) -> BookLog:
    """Return the log of a stack's run; it raises as :func:`servers_of`."""
    artifacts = Artifacts(stack_home(stack) / "artifacts")
    return BookLog(servers_of(stack), run, Epochs(artifacts))


def append(stack: str, run: str, said: Instruction, *, as_json: bool) -> None:
    """Check a record, append it to its book's log, and say where it stands."""
    fields = {name: getattr(said, name, "") for name in ("actor", "role", "reason")}
    # Refused ones are acts too: somebody tried.
    with admin_act(stack_home(stack), _act_of(said), on=said.portfolio, **fields) as outcome:
        said.check()
        place = asyncio.run(log_of(stack, run).append(said))
        outcome.detail = f"{said.id} at {place.topic}:{place.partition}:{place.offset}"
    if as_json:
        typer.echo(json.dumps({"id": said.id, **place._asdict()}))
        return
    typer.echo(
        f"{said.id} stands in {place.topic}, partition {place.partition}, offset {place.offset}: "
        "it acts on every record behind it, as soon as the worker has read it; "
        "what the book refuses is in: tradewind dead-letters list"
    )


def _act_of(said: Instruction) -> str:
    """Name an act as its command is called."""
    if isinstance(said, TradingState):
        return f"risk {said.action}"
    names = {LimitChange: "risk limits", RiskParity: "risk rebalance", BookOpen: "book open"}
    return names.get(type(said), type(said).__name__)


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> Any:  # noqa: ANN401  one of the literals
    """Return a value that is allowed."""
    if value not in allowed:
        raise SettingsError(f"--{option} was {value!r}; expected one of {', '.join(allowed)}")
    return value
