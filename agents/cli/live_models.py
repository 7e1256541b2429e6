"""Which models a live stack goes on with: those that decide, those named, or the champion.

A machine that starts again by itself names none: nothing that passes may keep it down, and nothing
that learned meanwhile decides without a rollout or a person's word.
"""

from pathlib import Path

import typer

from agents.cli.live_plan import LivePlan
from agents.cli.models import named
from agents.run.lineage import line_of
from streams.brokers import stack_home
from streams.epochs import Epoch
from streams.errors import SettingsError
from tables.stores.artifacts import Artifacts
from tables.stores.errors import StoreUnavailable
from tables.stores.model_registry import CHAMPION


def live_models(stack: str, asked: str | None) -> str:
    """Return the digest of the models that were asked for.

    Who asks for none goes on with those that decide, or begins with the champion: a stack that only
    starts again never changes models. While a rollout runs, the models that decide stay; while
    nobody can say who the champion is, those that ran last.

    Parameters
    ----------
    stack
        Name of the stack.
    asked
        A digest, or ``champion``, or ``champion:TIMEFRAME``; None for those that decide.

    Raises
    ------
    SettingsError
        If there is no such champion, or a rollout took it back.
    StoreUnavailable
        If the registry is away and nothing fitting ran before.
    """
    home = stack_home(stack)
    if asked is None:
        last = _last(home)
        if last is not None:
            return last.models
        asked = CHAMPION
    if not asked.startswith(CHAMPION):
        return asked
    rolling = while_rolling_out(home)
    if rolling is not None:
        _say(
            f"A rollout runs, so models {rolling.models[:12]} go on to decide; `tradewind rollout "
            "status` says how far it is."
        )
        return rolling.models
    try:
        return standing(home, named(stack, asked))
    except StoreUnavailable as error:
        last = _last(home)
        if last is None or asked not in {CHAMPION, f"{CHAMPION}:{last.timeframe}"}:
            raise
        _say(
            f"The registry is away: {error}. The stack goes on with the models that it ran last, "
            f"{last.models[:12]}; ask for {asked} again when it is back."
        )
        return last.models


def _say(text: str) -> None:
    typer.secho(text, fg=typer.colors.YELLOW)


def _last(home: Path) -> Epoch | None:
    plan = LivePlan.of(home)
    return None if plan is None else plan.decides(home)


def while_rolling_out(home: Path) -> Epoch | None:
    """Return the epoch that decides while a rollout runs; None while none does.

    A stack that starts again must not end a rollout, nor stay down because of one.
    """
    epoch = _last(home)
    return None if epoch is None or epoch.rollout is None else epoch


def standing(home: Path, champion: str) -> str:
    """Return the registry's champion; a rollout may have taken it back since it became that.

    Raises
    ------
    SettingsError
        If one has, or what it learned from: by its name nobody goes live with it.
    """
    fallen = fallen_in(home, champion)
    if fallen:
        whom = "it" if fallen == champion else f"models {fallen[:12]}, which it learned from,"
        raise SettingsError(
            f"the champion {champion[:12]} does not stand: a rollout took {whom} back; expected "
            "models that stand. `tradewind models register DIGEST` makes others champion, "
            f"`--models {champion}` goes live with these all the same"
        )
    return champion


def fallen_in(home: Path, digest: str) -> str:
    """Return the models of a line that a rollout took back last; empty if a set stands.

    What learned from those that decide stands, whatever lies before them.
    """
    plan = LivePlan.of(home)
    if plan is None or not plan.taken_back:
        return ""
    decides = plan.decides(home).models
    for each in line_of(Artifacts(home / "artifacts"), digest):
        if each in plan.taken_back:
            return each
        if each == decides:
            break
    return ""
