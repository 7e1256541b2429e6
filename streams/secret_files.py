"""Secrets from files: ``NAME_FILE`` names a file with what ``NAME`` would hold.

So an address with a password stands in no command line, no unit and no manifest; Docker, systemd
and Kubernetes all hand files over.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path

from streams.errors import SettingsError

# Addresses that may hold a password, and one password.
VARIABLES = ("DATABASE_URL", "REDIS_URL", "MLFLOW_TRACKING_URI", "KAFKA_PASSWORD")
SUFFIX = "_FILE"


def read_secrets(environment: MutableMapping[str, str] = os.environ) -> None:
    """Put what the files hold into an environment, for this process and those that it starts.

    Raises
    ------
    SettingsError
        If both a variable and its file are set, or a file is empty or cannot be read.
    """
    for name in VARIABLES:
        variable = f"{name}{SUFFIX}"
        path = environment.pop(variable, "").strip()
        if not path:
            continue
        if environment.get(name, "").strip():
            raise SettingsError(f"{name} and {variable} are both set; expected one of them")
        environment[name] = _read(variable, path)


def _read(variable: str, path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{variable} was {path!r}, which cannot be read: {error}; expected a file with the "
            "value in one line"
        ) from error
    if not text or "\n" in text:
        raise SettingsError(
            f"{variable} was {path!r}, which has {len(text.splitlines())} lines; expected one"
        )
    return text
