"""The epoch of a tape: what the settings and the models say about it, and what a person changes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from agents.run.calendars import calendars_of
from agents.run.parity import spread
from models.features.catalogue import PIPELINE_VERSION, pipeline_digest
from streams.epochs import LIMIT_BOUNDS, Epoch, Limits, Portfolio
from streams.errors import SettingsError
from streams.settings import Settings, instruments_of, portfolios_of
from streams.sources.tape import Tape
from tables.stores.artifacts import Artifacts

_PREFIX = "risk."


class Changes(NamedTuple):
    """What a person wants otherwise than the settings or an epoch have it.

    ``limits`` and ``cash`` are those of every portfolio; the number of partitions decides nothing.
    """

    limits: Mapping[str, Any] = {}
    cash: str | None = None
    n_partitions: int | None = None

    @property
    def decide(self) -> bool:
        """Whether anything that decides is otherwise."""
        return bool(self.limits) or self.cash is not None

    def of(self, portfolio: Portfolio) -> Portfolio:
        """Return a portfolio as changed."""
        if self.limits:
            limits = msgspec.structs.replace(portfolio.limits, **self.limits)
            portfolio = msgspec.structs.replace(portfolio, limits=limits)
        if self.cash is not None:
            portfolio = msgspec.structs.replace(portfolio, cash=self.cash)
        return portfolio

    def facts(self) -> list[tuple[str, str]]:
        """Say what is changed, for the head of a report; nothing if nothing is."""
        told = [f"{_PREFIX}{name}={value}" for name, value in sorted(self.limits.items())]
        if self.cash is not None:
            told.append(f"cash={self.cash}")
        return [("Changed", ", ".join(told))] if told else []


def limit_of(text: str) -> tuple[str, list[str]]:
    """Return a limit's name and the values that ``risk.NAME=VALUE,VALUE`` gives it.

    Raises
    ------
    SettingsError
        If there is no such limit, or no value.
    """
    key, _, values = text.partition("=")
    name = key.removeprefix(_PREFIX)
    known = sorted({*LIMIT_BOUNDS, "allow_short"})
    if not key.startswith(_PREFIX) or name not in known or not values:
        raise SettingsError(
            f"{text!r} names no limit; expected {_PREFIX}NAME=VALUE with a name of "
            f"{', '.join(known)}"
        )
    return name, [value.strip() for value in values.split(",")]


def limits_of(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return limits with values of their types.

    Raises
    ------
    SettingsError
        With the limit, its value and what was expected.
    """
    found: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            found[name] = getattr(msgspec.convert({name: text}, Limits, strict=False), name)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{_PREFIX}{name} was {text!r}: {error}") from error
    return found


def epoch_of(
    settings: Settings,
    tape: Tape,
    models: str,
    metadata: dict[str, Any],
    artifacts: Artifacts,
    changes: Changes = Changes(),  # noqa: B008  a NamedTuple is never changed
) -> Epoch:
    """Return the epoch by which a tape is decided."""
    instruments = instruments_of(settings, tape.symbols)
    closes = tape.closes_ns()
    portfolios = tuple(changes.of(portfolio) for portfolio in portfolios_of(settings))
    return Epoch(
        timeframe=tape.timeframe,
        n_partitions=settings.partitions,
        clock_id="replay",
        lateness_ms=settings.lateness_ms,
        max_ahead_ms=settings.max_ahead_ms,
        venue_latency_ms=settings.venue_latency_ms,
        instruments=instruments,
        calendars=calendars_of(instruments, closes[0], closes[-1], artifacts),
        portfolios=spread(portfolios, metadata),
        models=models,
        pipeline_version=PIPELINE_VERSION,
        pipeline_digest=pipeline_digest(),
    )


def changed(epoch: Epoch, changes: Changes, models: str | None) -> Epoch:
    """Return an epoch as a person wants it otherwise.

    Weights of risk parity stay those of the epoch, whatever models it has. Other models decide
    alone, also where a rollout ran.
    """
    portfolios = tuple(changes.of(portfolio) for portfolio in epoch.portfolios)
    return msgspec.structs.replace(
        epoch,
        portfolios=portfolios,
        models=models or epoch.models,
        rollout=None if models else epoch.rollout,
        n_partitions=changes.n_partitions or epoch.n_partitions,
    )
