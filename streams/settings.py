"""Settings: ``tradewind.toml``, overridden by ``TRADEWIND_*``; each is read once, at start.

What decides (timeframe, lateness, universe, portfolios, limits) becomes part of an epoch and is
read from there by the stages; a worker's own settings never change a decision.
"""

import os
import tomllib
from importlib import resources
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any, Literal, Self

import msgspec
from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from streams.epochs import Instrument, Portfolio
from streams.errors import SettingsError

# Names the settings file.
CONFIG = "TRADEWIND_CONFIG"

OFF = "off"


def _one_portfolio() -> dict[str, dict[str, Any]]:
    return {"main": {}}


class Settings(BaseSettings):
    """One stack's settings; README has the table of keys."""

    model_config = SettingsConfigDict(
        env_prefix="TRADEWIND_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    partitions: int = Field(default=2, ge=1, le=256, description="partitions of every topic")
    replication: int = Field(default=1, ge=1, le=5, description="copies of every record")
    lateness_ms: int = Field(default=200, ge=0, description="how long a bar waits for late ticks")
    max_ahead_ms: int = Field(60_000, ge=0, description="how far a tick may be ahead of the clock")
    venue_latency_ms: int = Field(default=50, ge=0, description="time an order takes to the venue")
    web_host: str = Field(default="127.0.0.1", description="address the pages listen on")
    tls_cert: str = Field(default="", description="certificate of the API and the pages, PEM")
    tls_key: str = Field(default="", description="its key, PEM, without a password")
    tls_ca: str = Field(default="", description="whom to trust besides the machine's authorities")
    disk_full_fraction: float = Field(
        default=0.9,
        gt=0.8,
        le=1,
        description="share of a disk in use from which on new risk is refused; 1: never",
    )
    kafka_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="how a broker that was given is spoken to"
    )
    kafka_ca: str = Field(default="", description="whom to trust besides the machine's, PEM")
    kafka_cert: str = Field(default="", description="our certificate for the broker, PEM")
    kafka_key: str = Field(default="", description="its key, PEM, without a password")
    kafka_user: str = Field(default="", description="login at the broker")
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="how the login is proved"
    )
    traces_url: str = Field(
        default="", description="collector of spans, OTLP over HTTP; empty: no spans are made"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="INFO", description="level of our own log lines"
    )
    log_form: Literal["text", "json"] = Field(
        default="text", description="form of the log lines of all roles"
    )
    training_device: Literal["cpu", "cuda", "auto"] = Field(
        default="cpu", description="where networks are trained; a full one gives way to cpu"
    )
    learning: Literal["off", "safe", "recommended"] = Field(
        default="off", description="whether, and how, models go on learning every day"
    )
    learning_window_days: int = Field(
        default=60, ge=30, le=90, description="days of bars that an update learns from"
    )
    rollouts: Literal["off", "on"] = Field(
        default="off", description="whether a role runs that measures and moves rollouts of models"
    )
    rollout_p95_ms: float = Field(
        default=200.0, gt=0, description="P95 latency above which a rollout goes back"
    )
    rollout_window_decisions: int = Field(
        default=200, ge=20, le=20_000, description="decisions that this P95 is taken over at least"
    )
    rollout_window_s: int = Field(
        default=10, ge=1, le=3_600, description="seconds that these decisions span at least"
    )
    rollout_least_correlation: float = Field(
        default=0.95,
        ge=0,
        lt=1,
        description="what the correlation of targets must exceed to leave the shadow; 0 asks none",
    )
    instruments: dict[str, dict[str, Any]] = Field(default_factory=dict)
    portfolios: dict[str, dict[str, Any]] = Field(default_factory=_one_portfolio)

    @property
    def scheme(self) -> str:
        """What the addresses of the API and the pages begin with."""
        return "https" if self.tls_cert else "http"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  a .env file is not read
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  there are no secrets yet
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment, then the file."""
        path = Path(os.environ.get(CONFIG, "tradewind.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)

    @classmethod
    def read(cls) -> Self:
        """Read the settings of this process.

        Raises
        ------
        SettingsError
            If a ``TRADEWIND_*`` variable or a key is unknown or has a wrong value, or if the file
            that ``TRADEWIND_CONFIG`` names does not exist.
        """
        _check_environment(set(cls.model_fields))
        try:
            settings = cls()
        except (TOMLDecodeError, SourceError) as error:
            raise SettingsError(f"the settings cannot be read: {error}") from error
        except ValidationError as error:
            found = error.errors()[0]
            where = ".".join(str(part) for part in found["loc"])
            raise SettingsError(
                f"setting {where} was {found.get('input')!r}: {found['msg']}"
            ) from error
        for table in (settings.instruments, settings.portfolios):
            _check_names(table)
        return settings


# Variables of ours that are no settings: where data lies, and where the file of settings is.
_PLACES = frozenset({CONFIG, "TRADEWIND_DATA", "TRADEWIND_FAILPOINT", "TRADEWIND_HOME"})


def _check_names(table: dict[str, dict[str, Any]]) -> None:
    """Refuse names that differ in case only: a variable's name arrives in lower case."""
    seen: dict[str, str] = {}
    for name in sorted(table):
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise SettingsError(
                f"{other!r} and {name!r} differ in case only; a TRADEWIND_ variable arrives in "
                "lower case, so set this one in the file"
            )


def _check_environment(fields: set[str]) -> None:
    for name in sorted(os.environ):
        field = name.removeprefix("TRADEWIND_").lower().partition("__")[0]
        if name.startswith("TRADEWIND_") and name not in _PLACES and field not in fields:
            raise SettingsError(
                f"{name} is set but is no setting; expected TRADEWIND_ and one of "
                f"{', '.join(sorted(fields))}"
            )
    config = os.environ.get(CONFIG)
    if config is not None and not Path(config).is_file():
        raise SettingsError(f"{CONFIG} was {config!r}; expected a file")


def instruments_of(settings: Settings, symbols: tuple[str, ...]) -> tuple[Instrument, ...]:
    """Return the instruments of ``symbols``: the shipped table, overridden by the settings.

    A symbol that stands in neither is an instrument with the defaults (sector ``Unclassified``,
    currency USD, whole lots).
    """
    shipped = tomllib.loads(resources.files("streams").joinpath("instruments.toml").read_text())
    return tuple(
        _convert(f"instruments.{symbol}", Instrument, symbol, shipped, settings.instruments)
        for symbol in sorted(symbols)
    )


def portfolios_of(settings: Settings) -> tuple[Portfolio, ...]:
    """Return the portfolios of the settings, in order of their ids."""
    return tuple(
        _convert(f"portfolios.{name}", Portfolio, name, settings.portfolios)
        for name in sorted(settings.portfolios)
    )


def _convert(where: str, kind: Any, name: str, *tables: dict[str, dict[str, Any]]) -> Any:  # noqa: ANN401  one converter for every settings table
    merged: dict[str, Any] = {"id": name}
    for table in tables:
        # A name in an environment variable arrives in lower case.
        merged |= table.get(name, table.get(name.lower(), {}))
    unknown = set(merged) - set(kind.__struct_fields__)
    if unknown:
        raise SettingsError(
            f"{where} has unknown keys {', '.join(sorted(unknown))}; "
            f"expected {', '.join(kind.__struct_fields__)}"
        )
    try:
        return msgspec.convert(merged, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {error}") from error
