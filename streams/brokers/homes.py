"""Where a stack keeps its data, and where all stacks of a user share what they fetched."""

import os
import re
from contextlib import suppress
from pathlib import Path

from streams.clock import random_id
from streams.errors import SettingsError

# A name becomes a folder: no separators, no hidden folders, nothing a shell would expand.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_OWNER_ONLY = 0o700
_ID_DIGITS = 8


def stack_home(name: str = "default") -> Path:
    """Return the folder of the stack called ``name``; it is created when a part needs it.

    Stacks live side by side in ``TRADEWIND_HOME``, or in ``tradewind`` under the user's data home.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"Stack name was {name!r}; it takes 1 to 64 of a-z, 0-9, '.', '_', '-' and starts"
            " with a letter or digit."
        )
    return _root() / name


def existing_home(name: str) -> Path:
    """Return the folder of a stack that there is.

    Raises
    ------
    SettingsError
        If there is none, with those there are.
    """
    home = stack_home(name)
    if not home.is_dir():
        found = home.parent.iterdir() if home.parent.is_dir() else ()
        names = sorted(one.name for one in found if one.is_dir() and _NAME.fullmatch(one.name))
        raise SettingsError(
            f"Stack name was {name!r}; expected one that exists: {', '.join(names) or 'none yet'}."
            f" `tradewind up --name {name}` makes it."
        )
    return home


def _root() -> Path:
    given = os.environ.get("TRADEWIND_HOME")
    root = Path(given).expanduser() if given else _xdg("XDG_DATA_HOME", ".local/share")
    return root.absolute()


def stack_id(home: Path) -> str:
    """Return what a stack is called where stacks of several machines meet: its name and digits.

    The digits are drawn once and kept in ``home``: they go where the folder goes, and two stacks
    with the same name differ in them.
    """
    path = home / "stack.id"
    if not path.exists():
        home.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
        drawn = random_id()
        draft = path.with_name(f"stack.id.{drawn}")
        draft.write_text(f"{home.name}-{drawn[:_ID_DIGITS]}\n")
        # Of two that draw at once the first one's digits stay.
        with suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text().strip()


def cache_home() -> Path:
    """Return the folder that all stacks of this user share for fetched files."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def private_folder(folder: Path) -> Path:
    """Create ``folder`` if needed, closed to other users, and return it."""
    folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    folder.chmod(_OWNER_ONLY)
    return folder


def _xdg(variable: str, fallback: str) -> Path:
    """Return our folder under an XDG base folder; relative values are ignored, as XDG asks."""
    given = Path(os.environ.get(variable, ""))
    return (given if given.is_absolute() else Path.home() / fallback) / "tradewind"
