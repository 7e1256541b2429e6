"""The registry of models: MLflow runs with their metrics, and named versions with an alias.

A version names the digest of a model set; its file is kept with the run. Who deploys asks for the
version called ``champion`` and checks the bytes against the digest: the registry is believed about
which model is meant, never about what is in it.
"""

import logging
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from streams.clock import wall_ns
from tables.stores.artifacts import Artifacts
from tables.stores.errors import NoChampion, StoreUnavailable
from tables.stores.servers.mlflow import Tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
"""What decides, or is to: by a training, a person's word, or a rollout that came to its end."""

CANDIDATE = "candidate"
"""The last update that the gate let pass: what learning goes on from, and a rollout may try."""

CHALLENGER = "challenger"
"""What a rollout that runs puts beside those that decide."""

PREVIOUS = "previous"
"""What was champion before the one that is."""

EXPERIMENT = "tradewind-training"
STACK_TAG = "tradewind.stack"

BEST_BY = "held_back.rank_ic"
"""The metric that a model's runs are ranked by, on bars that it did not learn from."""

BEST_BY_TAG = "tradewind.best_by"
"""Of an experiment: ``max METRIC`` or ``min METRIC``, by which its best runs are found."""

CHAMPION_UNTIL_TAG = "tradewind.champion_until"
"""Of a version: when it was replaced, in ms since 1970; until then its run was in use."""

_STEP_TAG = "tradewind.rollout_step_ns"
"""Of a model: the time of the last step of a rollout that its names follow, in ns since 1970."""

_PREFIX = "tradewind-"
_OURS = f"name LIKE '{_PREFIX}%'"
_DIGEST_TAG = "tradewind.digest"
_CARD_FILE = "MODEL_CARD.md"
_MODEL_SUFFIX = ".safetensors"

# MLflow takes at most 1,000 metrics at once.
_BATCH_METRICS = 1_000
_NS_PER_MS = 1_000_000
_CONNECT_S = 5
GATHER_S = 2
"""What is logged in the background is gathered for so long: many trainers at once then write
seldom, and none of them is held up by its own writing."""

# By itself MLflow waits for a server that hangs for two minutes, eight times, and writes what is
# logged in the background with ten threads. Each store of a process keeps five connections, of the
# fifty that the stack's PostgreSQL has for all; a trainer needs one.
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ASYNC_LOGGING_THREADPOOL_SIZE": "1",
    "MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS": str(GATHER_S),
    "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "1",
    "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "0",
}
_WEB_PORTS = {"http": 80, "https": 443}


class Version(NamedTuple):
    """One version of a registered model."""

    name: str
    number: int
    digest: str
    run_id: str
    aliases: tuple[str, ...]


class Entry(NamedTuple):
    """What is registered about a model set.

    Attributes
    ----------
    digest : str
        Of its file in the store of artefacts.
    parameters : dict
        How it was fitted; MLflow keeps them as text.
    metrics : dict
        Name -> value; what is not finite is left out.
    series : dict
        Name -> (step, value), as a training writes them.
    card : str
        The model card, Markdown.
    tags : dict
        Lineage: source, code, ranges.
    """

    digest: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    series: Mapping[str, Sequence[tuple[int, float]]]
    card: str
    tags: Mapping[str, str]


def client_of(uri: str) -> "MlflowClient":
    """Return MLflow's client of an address, set up as the stack's programs want it."""
    # Imported here: it takes three seconds and 200 MB, which only those pay who ask for it.
    import mlflow  # noqa: PLC0415  see above

    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    # At every start they tell of tables that are up to date.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow.MlflowClient(uri)


def model_name(timeframe: str, stack: str) -> str:
    """Return what a stack's models of a timeframe are registered as; ``stack`` is its id.

    Examples
    --------
    >>> model_name("1day", "paper-1f2e3d4c")
    'tradewind-1day-paper-1f2e3d4c'
    """
    return f"{_PREFIX}{timeframe}-{stack}"


def is_of(name: str, stack: str) -> bool:
    """Tell whether a registered model is a stack's.

    Examples
    --------
    >>> is_of("tradewind-1day-paper-1f2e3d4c", "paper-1f2e3d4c"), is_of("tradewind-1day", "paper")
    (True, False)
    """
    prefix, _, rest = name.partition("-")
    return prefix == "tradewind" and rest.partition("-")[2] == stack


class ModelRegistry:
    """Runs and versions at one tracking address.

    Parameters
    ----------
    tracking
        Where.
    artifacts
        The store in which model files are found by digest.

    Raises
    ------
    StoreUnavailable
        From every method, if the address does not answer.
    """

    def __init__(self, tracking: Tracking, artifacts: Artifacts) -> None:
        self._tracking = tracking
        self._artifacts = artifacts
        with self._speaking():
            _check_reachable(tracking.uri)
            self._client = client_of(tracking.uri)

    def register(self, name: str, entry: Entry, alias: str | None = CHAMPION) -> Version:
        """Log a run with the model's file and card, make it a version, and give it an alias.

        A digest that is a version already is not logged again; it gets the alias. What was champion
        before is called previous. Without an alias all names stay.
        """
        with self._speaking():
            known = [each for each in self._versions(name) if each.digest == entry.digest]
            number = known[0].number if known else self._new_version(name, entry)
            if alias == CHAMPION:
                self._replace(name, number)
            if alias is not None:
                self._client.set_registered_model_alias(name, alias, str(number))
            return next(each for each in self._versions(name) if each.number == number)

    def release(self, name: str, alias: str) -> None:
        """Let no version of a model have an alias."""
        with self._speaking():
            self._client.delete_registered_model_alias(name, alias)

    def step_ns(self, name: str) -> int:
        """Return the time of the last step of a rollout that was written down; 0 without one."""
        with self._speaking():
            found = self._client.search_registered_models(f"name = '{name}'")
            return int(found[0].tags.get(_STEP_TAG, 0)) if found else 0

    def write_step(self, name: str, at_ns: int) -> None:
        """Write down the time of a rollout's step, once a model's names are as it left them."""
        with self._speaking():
            self._client.set_registered_model_tag(name, _STEP_TAG, str(at_ns))

    def versions(self, name: str) -> tuple[Version, ...]:
        """Return all versions of a model, the newest first; none if it is not registered."""
        with self._speaking():
            return tuple(self._versions(name))

    def names(self) -> tuple[str, ...]:
        """Return the names of all models that stacks have registered, sorted."""
        with self._speaking():
            return tuple(sorted(self._names()))

    def champion(self, name: str) -> Version:
        """Return the version that is called champion.

        Raises
        ------
        NoChampion
            If no version of this name is.
        """
        version = self.called(name, CHAMPION)
        if version is None:
            raise NoChampion(
                f"no version of {name} is called {CHAMPION} at {self._tracking.spoken}: "
                "register one with `tradewind train`"
            )
        return version

    def called(self, name: str, alias: str) -> Version | None:
        """Return the version of a model that has an alias; None if none has."""
        found = self.versions(name)
        return next((version for version in found if alias in version.aliases), None)

    def fetch(self, version: Version) -> str:
        """Bring a version's file into the store of artefacts, if need be; return its digest.

        Raises
        ------
        StoreConflict
            If the registry's file has another digest than the version says.
        """
        if version.digest in self._artifacts.list_models():
            return version.digest
        with self._speaking(), tempfile.TemporaryDirectory() as folder:
            file = self._client.download_artifacts(
                version.run_id, f"{version.digest}{_MODEL_SUFFIX}", folder
            )
            return self._artifacts.put_file(Path(file), version.digest)

    def _names(self) -> Iterator[str]:
        """Give the names page by page: one answer holds a hundred."""
        token = None
        while token != "":
            page = self._client.search_registered_models(_OURS, page_token=token)
            yield from (model.name for model in page)
            token = page.token or ""

    def _versions(self, name: str) -> Iterator[Version]:
        found = self._client.search_model_versions(f"name = '{name}'")
        # A search leaves the aliases out; the model itself has them.
        aliases: dict[int, list[str]] = {}
        if found:
            for alias, number in self._client.get_registered_model(name).aliases.items():
                aliases.setdefault(int(number), []).append(alias)
        for each in sorted(found, key=lambda each: -int(each.version)):
            number = int(each.version)
            digest = each.tags.get(_DIGEST_TAG, "")
            called = tuple(sorted(aliases.get(number, [])))
            yield Version(name, number, digest, each.run_id or "", called)

    def _replace(self, name: str, number: int) -> None:
        """Write down until when the champion of before was one: it stays loadable for a while."""
        for each in self._versions(name):
            if CHAMPION in each.aliases and each.number != number:
                now_ms = str(wall_ns() // _NS_PER_MS)
                before = str(each.number)
                self._client.set_model_version_tag(name, before, CHAMPION_UNTIL_TAG, now_ms)
                self._client.set_registered_model_alias(name, PREVIOUS, before)

    def _new_version(self, name: str, entry: Entry) -> int:
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415  see above

        run = self._client.create_run(self._experiment(entry), run_name=entry.digest[:12])
        run_id = run.info.run_id
        now_ms = wall_ns() // _NS_PER_MS
        metrics = [
            *(Metric(key, value, now_ms, 0) for key, value in sorted(entry.metrics.items())),
            *(
                Metric(key, value, now_ms, step)
                for key, values in sorted(entry.series.items())
                for step, value in values
            ),
        ]
        parameters = [Param(key, str(value)) for key, value in sorted(entry.parameters.items())]
        tags = [RunTag(key, value) for key, value in sorted(entry.tags.items())]
        self._client.log_batch(run_id, params=parameters, tags=tags)
        # In the background, while files are copied: see `tradewind evidence mlflow-writers`.
        logged = [
            self._client.log_batch(
                run_id, metrics=metrics[start : start + _BATCH_METRICS], synchronous=False
            )
            for start in range(0, len(metrics), _BATCH_METRICS)
        ]
        self._client.log_artifact(run_id, str(self._artifacts.path_of_models(entry.digest)))
        self._client.log_text(run_id, entry.card, _CARD_FILE)
        for each in logged:
            # A metric that was not written is an error of the registration, here.
            if each is not None:
                each.wait()  # type: ignore[no-untyped-call]
        self._client.set_terminated(run_id)
        if name not in self._names():
            self._client.create_registered_model(name)
        tagged = {_DIGEST_TAG: entry.digest}
        source = run.info.artifact_uri
        made = self._client.create_model_version(
            name, source, run_id=run_id, tags=tagged, description=entry.card
        )
        return int(made.version)

    def _experiment(self, entry: Entry) -> str:
        root = self._tracking.artifact_root
        # An experiment has one place for files: where that is a folder of ours, one for each stack.
        name = EXPERIMENT if root is None else f"{EXPERIMENT}-{entry.tags[STACK_TAG]}"
        found = self._client.get_experiment_by_name(name)
        if found is None:
            made = self._client.create_experiment(name, artifact_location=root)
            found = self._client.get_experiment(made)
        if BEST_BY_TAG not in found.tags:
            self._client.set_experiment_tag(found.experiment_id, BEST_BY_TAG, f"max {BEST_BY}")
        return str(found.experiment_id)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn what MLflow raises into an error of the store."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415  see above
        from psycopg import Error  # noqa: PLC0415  see above
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  see above

        try:
            yield
        except (MlflowException, SQLAlchemyError, Error, OSError) as error:
            raise StoreUnavailable(
                f"MLflow at {self._tracking.spoken} did not do it: {error}"
            ) from error


def _check_reachable(uri: str) -> None:
    """Connect once: MLflow itself would try an absent database or server for minutes."""
    import psycopg  # noqa: PLC0415  the driver of MLflow's database

    server = urlsplit(uri)
    if server.scheme in _WEB_PORTS:
        port = server.port or _WEB_PORTS[server.scheme]
        socket.create_connection((server.hostname or "", port), _CONNECT_S).close()
    if not server.scheme.startswith("postgresql"):
        return
    address = uri.replace("postgresql+psycopg://", "postgresql://", 1)
    psycopg.connect(address, connect_timeout=_CONNECT_S).close()
