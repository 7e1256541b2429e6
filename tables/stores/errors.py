"""Errors of the stores: one base; each class names what the operator can do."""


class StoreError(Exception):
    """Base of every error of a store."""


class StoreUnavailable(StoreError):  # noqa: N818  says what is the case
    """A store does not answer, or is not installed.

    Operator action: start it, correct its address, or install what the message names.
    """


class StoreBusy(StoreUnavailable):
    """A store has more to do than it may do at once.

    Operator action: none, whoever asked asks again; if it lasts, look for slow queries.
    """


class StoreConflict(StoreError):  # noqa: N818  says what is the case
    """What a store holds contradicts what is to be written.

    Operator action: look at what the message names; nothing was written.
    """


class ShelfBusy(StoreConflict):
    """Another process takes days of the trail to the shelf.

    Operator action: none, it does the same work.
    """


class NoChampion(StoreConflict):
    """No version of a model is called champion yet.

    Operator action: train, or register a model set.
    """


class SpillFull(StoreUnavailable):
    """A folder of segments has reached its limit, or its disk has no room.

    Operator action: bring back what the records wait for, or make room; accepting goes on by
    itself.
    """


class SpillFailed(StoreUnavailable):
    """A disk did not do what was asked; nothing more is accepted before a restart.

    Operator action: look at the disk that the message names, then restart the process.
    """


class SegmentDamaged(StoreConflict):
    """A segment holds bytes that nobody wrote, where records once were durable.

    Operator action: move the named file away; what `tradewind spill show` reads of it is whole.
    """
