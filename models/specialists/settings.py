"""How the networks are formed and trained: plain values, for whoever must not need torch."""

from dataclasses import dataclass, replace

CONTEXT = 8
"""Numbers in a question, a key and an answer of the attention."""

HIDDEN = (64, 32)
"""Rectified units of the two inner layers."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train.

    Attributes
    ----------
    members : int
        Networks to a regime: what differs between them by chance is averaged away.
    epochs : int
        At most so many passes over the training rows; the best on the validation rows is kept.
    patience : int
        Passes without improvement on the validation rows before training stops.
    batch_rows : int
    learning_rate : float
    attention_rate : float
        Learning rate of what decides where attention goes, without decay: at the rate of the rest
        it would hardly move away from equal attention to all bars in so few passes.
    weight_decay : float
        Of AdamW (Loshchilov and Hutter 2019).
    clip : float
        Standardised inputs are held within plus and minus this many scales.
    """

    members: int = 3
    epochs: int = 6
    patience: int = 3
    batch_rows: int = 1024
    learning_rate: float = 1e-3
    attention_rate: float = 1e-2
    weight_decay: float = 1e-2
    clip: float = 5.0


DEFAULTS = Settings()

OF_HALVES = replace(DEFAULTS, members=1)
"""Of the networks that score one half of the training bars and learn from the other: cheaper."""
