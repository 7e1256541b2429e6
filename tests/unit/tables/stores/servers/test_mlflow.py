"""Where runs are tracked, and how an own server is called."""

from pathlib import Path

import pytest

from tables.stores.errors import StoreUnavailable
from tables.stores.servers import mlflow, postgres


def test_tracking_when_given_then_is_that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A given server decides itself where artefacts go."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    tracking = mlflow.tracking_of(Path("/home/stack"))
    assert (tracking.uri, tracking.artifact_root) == ("http://tracker:5000", None)
    assert tracking.provider == "given"


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        (
            "postgresql://u@/postgres?host=%2Fs",
            "postgresql+psycopg://u@/postgres?host=%2Fs&options=-csearch_path%3Dmlflow",
        ),
        (
            "postgresql://u:p@db/trading",
            "postgresql+psycopg://u:p@db/trading?options=-csearch_path%3Dmlflow",
        ),
    ],
)
def test_uri_when_made_of_a_server_then_names_driver_and_schema(url: str, uri: str) -> None:
    """MLflow's tables lie in a schema of their own."""
    assert mlflow.database_uri(postgres.PostgresServer(url, "given", "")) == uri


def test_tracking_when_the_database_has_a_password_then_does_not_speak_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Messages and tables name the address without the secret."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:secret@db/x")
    assert "secret" not in mlflow.tracking_of(Path("/home/stack")).spoken


def test_prepared_when_mlflow_is_missing_then_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A worker's installation has no registry of its own."""
    monkeypatch.setattr(mlflow, "PACKAGE", "no_such_package")
    with pytest.raises(StoreUnavailable, match=r"MLFLOW_TRACKING_URI is not set .*make setup"):
        mlflow.prepared(tmp_path, "127.0.0.1", 5000)
    assert not mlflow.is_usable(tmp_path)


def test_command_when_the_database_has_a_password_then_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every user of a machine can read the command lines of all."""
    monkeypatch.setenv("DATABASE_URL", "postgres://me:secret@db/x")
    assert "secret" not in " ".join(mlflow.prepared(tmp_path, "127.0.0.1", 5000))
    address = mlflow.environment(tmp_path)["MLFLOW_BACKEND_STORE_URI"]
    assert address.startswith("postgresql+psycopg://me:secret@db/x?")


def test_environment_when_the_server_starts_then_sends_nothing_home(tmp_path: Path) -> None:
    """Telemetry and background jobs are off."""
    found = mlflow.environment(tmp_path)
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert found["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
