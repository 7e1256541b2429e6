"""``tradewind rollout``: how rollouts stand; begin one, let it go on, stand, or go back.

Each goes to the role ``rollout`` of the stack, the only one that moves them, as a request of an
administrator; so it is checked and written down like one over HTTP.
"""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from agents.cli.book_access import Stack
from agents.cli.live_plan import LivePlan
from agents.cli.models import named
from agents.cli.spoken import spoken_errors
from agents.run.serving import auth_folder
from streams.brokers import stack_home, stack_id
from streams.client.api import Api
from streams.client.errors import ApiAwayError
from streams.errors import SettingsError
from streams.rollouts import ArmFigures, RolloutsAnswer, RolloutState, SetFlag, StartRollout
from streams.settings import OFF, Settings
from streams.tls import tls_of
from tables.stores.model_registry import CANDIDATE, CHAMPION
from tables.stores.token_keys import TokenKeys
from tables.views.auth import ALL_PORTFOLIOS, issue

Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the step.")]
Name = Annotated[str, typer.Argument(help="Id of the rollout; default: the last one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

_HOUR_S = 3_600
_NONE = "There is no rollout; begin one: tradewind rollout start DIGEST"
# A token for one command: it is shown to nobody.
_TOKEN_DAYS = 1 / 1_440

Answer = TypeVar("Answer")

commands = typer.Typer(help="Begin a rollout of models, let it go on, stand, or go back.")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(commands, name="rollout")


@commands.command()
def status(*, stack: Stack = "default", as_json: Json = False) -> None:
    """Say how rollouts stand, and what the running stage has shown so far."""
    with spoken_errors():
        said = _asked(stack, lambda api: api.rollouts())
    if as_json:
        typer.echo(msgspec.json.encode(said))
        return
    _print(said)


@commands.command()
def start(
    challenger: Annotated[
        str, typer.Argument(help="Digest of the models, or candidate, or champion.")
    ],
    name: Annotated[str, typer.Option("--id", help="Its id; default: day and digest.")] = "",
    dwell_hours: Annotated[
        float, typer.Option("--dwell-hours", help="How long each stage lasts at least.")
    ] = 168.0,
    reason: Reason = "",
    stack: Stack = "default",
) -> None:
    """Let models run in shadow beside those that decide, from the next close on."""
    with spoken_errors():
        is_name = challenger.startswith((CANDIDATE, CHAMPION))
        digest = named(stack, challenger) if is_name else challenger
        asked = StartRollout(
            challenger=digest, rollout_id=name, dwell_seconds=dwell_hours * _HOUR_S, reason=reason
        )
        _tell(_asked(stack, lambda api: api.start_rollout(asked)))


@commands.command()
def advance(name: Name = "", reason: Reason = "", stack: Stack = "default") -> None:
    """Go on to the next share now, or end behind the last, if the evidence carries it."""
    _act("advance", name, reason, stack)


@commands.command()
def hold(name: Name = "", reason: Reason = "", stack: Stack = "default") -> None:
    """Stay in this stage until it is resumed; guards go on."""
    _act("hold", name, reason, stack)


@commands.command()
def resume(name: Name = "", reason: Reason = "", stack: Stack = "default") -> None:
    """Let a held rollout go on."""
    _act("resume", name, reason, stack)


@commands.command()
def rollback(name: Name = "", reason: Reason = "", stack: Stack = "default") -> None:
    """Let the champion decide alone again, from the next close on."""
    _act("rollback", name, reason, stack)


@commands.command()
def flag(
    name: Annotated[str, typer.Argument(help="auto-advance or auto-rollback.")],
    setting: Annotated[str, typer.Argument(help="on or off.")],
    reason: Reason = "",
    stack: Stack = "default",
) -> None:
    """Say whether stages end by themselves, and whether guards end rollouts."""
    if setting not in {"on", "off"}:
        raise typer.BadParameter(f"{name} was to be {setting!r}; expected on or off")
    with spoken_errors():
        asked = SetFlag(is_on=setting == "on", reason=reason)
        said = _asked(stack, lambda api: api.set_flag(name, asked))
    typer.echo(f"{said.name} is {'on' if said.is_on else 'off'}.")


def _act(kind: str, name: str, reason: str, stack: str) -> None:
    with spoken_errors():
        if not name:
            known = _asked(stack, lambda api: api.rollouts()).rollouts
            if not known:
                raise SettingsError(_NONE)
            name = known[0].rollout_id
        _tell(_asked(stack, lambda api: api.act_on_rollout(name, kind, reason)))


def _asked(stack: str, ask: Callable[[Api], Awaitable[Answer]]) -> Answer:
    """Ask the role as an administrator of this machine."""
    home = stack_home(stack)
    settings = Settings.read()
    url = rollout_url(home, settings)
    token, _ = issue(
        *(TokenKeys(auth_folder(home)), stack_id(home), getpass.getuser(), "admin"),
        [ALL_PORTFOLIOS],
        _TOKEN_DAYS,
    )

    async def asked() -> Answer:
        async with Api(url, token, patience_s=2.0, tls=tls_of(settings).client) as api:
            return await ask(api)

    try:
        return asyncio.run(asked())
    except ApiAwayError as error:
        raise ApiAwayError(
            f"the role rollout of stack {home.name} does not answer at {url}: tradewind status "
            f"--name {home.name} tells whether it runs, tradewind up --name {home.name} starts it"
        ) from error


def rollout_url(home: Path, settings: Settings) -> str:
    """Return where the role listens.

    Raises
    ------
    SettingsError
        If the stack is not live, or has no such role.
    """
    plan = LivePlan.of(home)
    if plan is None:
        raise SettingsError(f"stack {home.name} is not live; tradewind up --models DIGEST")
    if plan.rollouts == OFF:
        raise SettingsError(
            f"stack {home.name} has no role rollout; TRADEWIND_ROLLOUTS=on tradewind up --name "
            f"{home.name}"
        )
    return f"{settings.scheme}://{settings.web_host}:{plan.rollout_port}"


def _tell(said: RolloutState) -> None:
    typer.echo(
        f"Rollout {said.rollout_id}: {said.state}, stage {said.stage}; the challenger "
        f"{said.challenger[:12]} decides for {100 * said.share:g} % from the next close on."
    )


def _print(said: RolloutsAnswer) -> None:
    if not said.rollouts:
        typer.echo(_NONE)
    for each in said.rollouts[:1]:
        _tell(each)
        table = Table("when", "step", "stage", "by", "bars", "why")
        for made in each.transitions:
            bars = "-" if made.evidence is None else str(made.evidence.n_bars)
            table.add_row(made.timestamp[:19], made.kind, made.stage, made.by, bars, made.reason)
        Console().print(table)
    if said.evidence is not None:
        found = said.evidence
        arms = Table("arm", "decisions", "refused", "p95 ms", "loss", "earned")
        for name, arm in (("champion", found.champion), ("challenger", found.challenger)):
            arms.add_row(name, *_figures(arm))
        Console().print(arms)
        against = ", ".join(found.reasons_against) or "nothing: it may go on"
        dwell_h, judged_h = (
            seconds / _HOUR_S for seconds in (said.rollouts[0].dwell_seconds, found.judged_seconds)
        )
        typer.echo(
            f"{judged_h:.1f} of {dwell_h:g} hours judged, {found.n_bars} bars; same "
            f"side {_number(found.agreement_pct)} %, correlation of "
            f"targets {_number(found.target_correlation)}, loss {_number(found.loss_lower)} to "
            f"{_number(found.loss_upper)} nats. Against the next stage: {against}."
        )
    for each_flag in said.flags:
        typer.echo(f"{each_flag.name} is {'on' if each_flag.is_on else 'off'}.")


def _figures(arm: ArmFigures) -> list[str]:
    return [
        str(arm.n_decisions),
        str(arm.n_refused),
        _number(arm.p95_ms),
        _number(arm.loss),
        _number(arm.earned_fraction),
    ]


def _number(value: Any) -> str:  # noqa: ANN401  a number or None
    return "-" if value is None else f"{value:.4g}"
