"""Errors of the mathematics: one base, one class per way in which an input can be wrong."""


class ModelError(Exception):
    """Base of every error that a pure computation raises; the message names value and unit."""


class ShapeError(ModelError):
    """An array has another shape than the function documents."""


class NotFinite(ModelError):  # noqa: N818  named after the state of the data, as NotFitted is
    """A value is NaN or infinite where the documented policy allows none."""


class NotFitted(ModelError):  # noqa: N818  the field's own word
    """A model is used before it was fitted, or its parameters do not belong together."""


class LabelsUnaligned(ModelError):  # noqa: N818  says what is the case
    """Mixture components cannot be given names that agree with the earlier fit.

    Parameters
    ----------
    message
        What was found, and what was expected.
    agreement_fraction
        Share of the shared rows that both fits call by the same name.
    """

    def __init__(self, message: str, agreement_fraction: float) -> None:
        super().__init__(message)
        self.agreement_fraction = agreement_fraction


class HistoryTooShort(ModelError):  # noqa: N818  says what is the case
    """Fewer bars were given than the computation needs."""


class Refused(ModelError):  # noqa: N818  says what is the case
    """A record asks of an account what cannot be; the account is untouched.

    Parameters
    ----------
    code
        For counting, such as ``UNKNOWN_SYMBOL``.
    field, value, expected
        Which field of the record, what it was, and what was expected.
    """

    def __init__(self, code: str, field: str, value: object, expected: str) -> None:
        super().__init__(f"{code}: {field} was {value!r}; expected {expected}")
        self.code = code
        self.field = field
        self.value = value
        self.expected = expected
