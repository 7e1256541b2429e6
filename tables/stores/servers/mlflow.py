"""MLflow: the given tracking server, else one of the stack's own on the stack's PostgreSQL.

Programs of the stack talk to the database themselves, because a metric through the server costs
tens of milliseconds. The own server is for people and for other programs.
"""

import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from streams.brokers.homes import private_folder
from tables.stores.errors import StoreUnavailable
from tables.stores.servers import postgres
from tables.stores.servers.postgres import PostgresServer, server_of, without_password

VARIABLE = "MLFLOW_TRACKING_URI"
PACKAGE = "mlflow"
SCHEMA = "mlflow"

# The first start makes the tables: half a minute on two laden cores.
READY_S = 120.0


@dataclass(frozen=True)
class Tracking:
    """Where runs and models are tracked.

    Parameters
    ----------
    uri
        For MLflow's client.
    artifact_root
        Address of the artefacts of new experiments; None leaves it to the given server.
    provider
        ``given`` or ``embedded``.
    why
        Why it is this one, for people.
    """

    uri: str
    artifact_root: str | None
    provider: str
    why: str

    @property
    def spoken(self) -> str:
        """The address without its password, for messages and logs."""
        return without_password(self.uri)


def tracking_of(home: Path) -> Tracking:
    """Return where a stack tracks; nothing need run yet."""
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        return Tracking(given, None, "given", f"{VARIABLE} is set")
    root = artifact_folder(home).as_uri()
    uri = database_uri(server_of(home))
    return Tracking(uri, root, "embedded", f"{VARIABLE} is not set")


def artifact_folder(home: Path) -> Path:
    """Return the folder of the own server's artefacts."""
    return home / "mlflow"


def database_uri(server: PostgresServer) -> str:
    """Return the address of MLflow's tables: a schema of their own in the stack's database."""
    address = server.url.replace("postgresql://", "postgresql+psycopg://", 1)
    joint = "&" if "?" in address else "?"
    return f"{address}{joint}options=-csearch_path%3D{SCHEMA}"


def is_usable(home: Path) -> bool:
    """Return whether a stack can track at all: MLflow's client, and a place to track at."""
    given = tracking_of(home).provider == "given"
    return installed() and (given or postgres.is_usable(home))


def installed() -> bool:
    """Return whether MLflow is installed here."""
    return find_spec(PACKAGE) is not None


def prepared(home: Path, host: str, port: int) -> list[str]:
    """Return the command that becomes the own server.

    Raises
    ------
    StoreUnavailable
        If MLflow is not installed.
    """
    if not installed():
        raise StoreUnavailable(
            f"no MLflow: {VARIABLE} is not set and the package {PACKAGE} is not installed; "
            "set the one or install the other (`make setup`)"
        )
    folder = private_folder(artifact_folder(home))
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--artifacts-destination", folder.as_uri()),
        *("--host", host),
        *("--port", str(port)),
        *("--workers", "1"),
    ]


def environment(home: Path) -> dict[str, str]:
    """Return the server's environment.

    The database's address may hold a password, which the command line would show to every user. No
    background jobs, which cost 400 MB, and no telemetry.
    """
    return {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": database_uri(server_of(home)),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
