"""Parts of a fit that is under way, on disk, each as soon as it is made."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError

from tables.stores.artifacts import pack_part, part_bytes, read_part
from tables.stores.replacing import replacing

Part = TypeVar("Part")

_SUFFIX = "safetensors"


class Checkpoints:
    """Parts of a fit that is under way, so that an interrupted one goes on where it was.

    Parameters
    ----------
    folder
        One for each fit; it goes when the fit is done.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, name: str, kind: type[Part], make: Callable[[], Part]) -> Part:
        """Return the part that was kept under a name, else make it and keep it."""
        path = self._folder / f"{name}.{_SUFFIX}"
        try:
            numbers, arrays = read_part(path.read_bytes())
            return kind(**numbers, **arrays)
        except FileNotFoundError:
            pass
        except (KeyError, TypeError, ValueError, SafetensorError):
            # Half of a file, or one of another version: the part is fitted again.
            path.unlink()
        part = make()
        numbers, arrays = pack_part(part)
        self._folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(part_bytes(numbers, arrays))
        return part

    def clear(self) -> None:
        """Forget the parts: the fit is done."""
        shutil.rmtree(self._folder, ignore_errors=True)
