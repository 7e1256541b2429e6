"""Where networks are trained: on an accelerator, or on the processor where that has no room.

Both draw the same numbers in the same order, on the processor, so that they find the same networks
but for rounding; a model set of an accelerator has another digest all the same.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

import torch

T = TypeVar("T")


class Trainer(NamedTuple):
    """Where to train, and who is told why it went on elsewhere."""

    device: torch.device
    fell_back: Callable[[str], None]


_PROCESSOR = torch.device("cpu")
_TRAINER: ContextVar[Trainer | None] = ContextVar("trainer", default=None)


def best() -> str:
    """Return the accelerator if PyTorch finds one that it can use, else the processor."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def training_on(device: str, fell_back: Callable[[str], None]) -> Iterator[None]:
    """Let the networks of the block be trained on a device; ``fell_back`` is told if it is full."""
    token = _TRAINER.set(Trainer(torch.device(device), fell_back))
    try:
        yield
    finally:
        _TRAINER.reset(token)


def where_there_is_room(work: Callable[[torch.device], T]) -> T:
    """Do the work on the chosen device, and from its begin on the processor if memory runs out."""
    trainer = _TRAINER.get()
    if trainer is not None and trainer.device != _PROCESSOR:
        try:
            return work(trainer.device)
        except torch.OutOfMemoryError as error:
            why = str(error).partition("\n")[0]
        # Behind the handler: its traceback held what the device had.
        torch.cuda.empty_cache()
        trainer.fell_back(why)
    return work(_PROCESSOR)
