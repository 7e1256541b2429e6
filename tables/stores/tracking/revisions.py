"""The schema of MLflow's tables, which MLflow itself makes and brings up to date."""

import logging
import os

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

    # Its own pool would hold connections for as long as the process lives.
    os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    # They tell of every one of a hundred steps.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        mlflow.db.upgrade.main([uri], standalone_mode=False)
    except (CommandError, MlflowException, SQLAlchemyError) as error:
        raise StoreUnavailable(
            f"MLflow did not make its tables at {without_password(uri)}: {error}"
        ) from error
