#!/usr/bin/env python3
"""Draw the secrets of the compose files: ``make secrets``. What is there already stays.

Each secret is a file that everybody may read in a folder that nobody else may enter: containers run
as users of their own, and get the file and not the folder.
"""

import hashlib
import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).with_name("secrets")

_BYTES = 24
# Roles of the database, each with the rights of its work; `tradewind prepare` lets them in.
LOGINS = ("archive", "audit_writer", "reader", "rollout", "mlflow")
# Where alerts go is yours to know: no address is invented.
YOURS = {
    "chat_url": "a webhook as Slack and Mattermost take it",
    "page_key": "an integration key of PagerDuty",
}


def main(folder: Path = FOLDER) -> int:
    """Make what is missing, and say which files still wait for a person."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    database = _drawn(folder / "database_password")
    redis = _drawn(folder / "redis_password")
    _drawn(folder / "grafana_password")
    digest = hashlib.sha256(redis.encode()).hexdigest()
    _kept(folder / "database_url", f"postgresql://tradewind:{database}@timescaledb:5432/tradewind")
    for login in LOGINS:
        password = secrets.token_urlsafe(_BYTES)
        url = f"postgresql://tradewind_{login}:{password}@timescaledb:5432/tradewind"
        _kept(folder / f"database_url_{login}", url)
    _kept(folder / "redis_url", f"redis://tradewind:{redis}@redis:6379/0")
    rights = "~* &* +@all -@admin -@dangerous"
    _kept(folder / "redis_acl", f"user default off\nuser tradewind on #{digest} {rights}\n")
    for name, what in YOURS.items():
        if not _kept(folder / name, "").strip():
            sys.stdout.write(
                f"{folder / name} is empty: put {what} there, or alerts reach nobody\n"
            )
    return 0


def _drawn(path: Path) -> str:
    return _kept(path, secrets.token_urlsafe(_BYTES))


def _kept(path: Path, text: str) -> str:
    """Write a file unless it is there; return what it holds."""
    if not path.exists():
        path.write_text(text)
        path.chmod(0o444)
    return path.read_text()


if __name__ == "__main__":
    sys.exit(main())
