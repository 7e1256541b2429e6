"""Errors of the stores: one base; each class names what the operator can do."""


class StoreError(Exception):
    """Base of every error of a store."""


class StoreUnavailable(StoreError):  # noqa: N818  says what is the case
    """A store does not answer, or is not installed.

    Operator action: start it, correct its address, or install what the message names.
    """


class StoreConflict(StoreError):  # noqa: N818  says what is the case
    """What a store holds contradicts what is to be written.

    Operator action: look at what the message names; nothing was written.
    """


class NoChampion(StoreConflict):
    """No version of a model is called champion yet.

    Operator action: train, or register a model set.
    """
