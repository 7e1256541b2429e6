"""The schema of MLflow's tables, which MLflow itself makes and brings up to date."""

import contextlib
import logging
import os
from collections.abc import Iterator

from tables.stores.errors import StoreUnavailable
from tables.stores.servers.postgres import without_password


def bring_up_to_date(uri: str) -> None:
    """Make MLflow's tables in an empty database, or bring them to the newest revision.

    Raises
    ------
    StoreUnavailable
        If MLflow does not manage.
    """
    import mlflow.db  # noqa: PLC0415  seconds that only this pays
    from alembic.util import CommandError  # noqa: PLC0415  comes with MLflow
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  see above
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  see above

    # They tell of every one of a hundred steps.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with _unpooled():
            mlflow.db.upgrade.main([uri], standalone_mode=False)
    except (CommandError, MlflowException, SQLAlchemyError) as error:
        raise StoreUnavailable(
            f"MLflow did not make its tables at {without_password(uri)}: {error}"
        ) from error


@contextlib.contextmanager
def _unpooled() -> Iterator[None]:
    """Let no pool hold connections behind the upgrade: nobody would close them."""
    prefix = "MLFLOW_SQLALCHEMYSTORE_POOL"
    before = {name: value for name, value in os.environ.items() if name.startswith(prefix)}
    overflow = os.environ.pop("MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW", None)
    for name in before:
        del os.environ[name]
    os.environ[f"{prefix}CLASS"] = "NullPool"
    try:
        yield
    finally:
        del os.environ[f"{prefix}CLASS"]
        os.environ.update(before)
        if overflow is not None:
            os.environ["MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW"] = overflow
