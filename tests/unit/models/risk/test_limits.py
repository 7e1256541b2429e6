"""Findings: their text is made when it is read, and says what an eager one would."""

from models.risk.limits import Finding


def test_message_when_read_then_fills_the_form_in() -> None:
    """Limit, value and what it is about stand where the form wants them."""
    found = Finding(
        "X", "{about[0]} is {actual:.2f} of {about[1]}, not {limit}", 1.5, 2, 0, ("a", 7)
    )
    assert found.message == "a is 2.00 of 7, not 1.5"


def test_message_when_what_it_is_about_has_braces_then_they_stay() -> None:
    """A reason that somebody typed is text, and no form."""
    assert Finding("X", "{about}", 0, 1, 0, "see {limit}").message == "see {limit}"


def test_findings_when_they_say_the_same_then_are_equal() -> None:
    """How the text came about is no difference; what it says is one."""
    made = Finding("X", "{about} is {actual}", 1, 2, 0, "a")
    assert made == Finding("X", "a is 2", 1, 2, 0)
    assert hash(made) == hash(Finding("X", "a is 2", 1, 2, 0))
    assert made != Finding("X", "a is 3", 1, 2, 0)
    assert made != "a is 2"
