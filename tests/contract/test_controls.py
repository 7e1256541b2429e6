"""Every control has what its row of the validation document promises."""

import pytest

from models.risk.controls import CONTROLS, Control
from models.risk.limits import RiskLimits
from tests.evidence.validation.control_tests import LEAST_TESTS, about


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.find.__name__)
def test_control_when_tests_are_read_then_three_at_least_are_about_it(control: Control) -> None:
    """A control whose tests cannot be named is not tested."""
    found = about(control)
    assert len(found) >= LEAST_TESTS, (control.codes, found)


def test_limits_when_listed_then_a_control_reads_each() -> None:
    """A limit that nothing reads promises what nobody keeps; sizing alone reads the least trade."""
    read = {key for control in CONTROLS for key in control.limits}
    assert set(RiskLimits._fields) - read == {"min_trade_fraction"}
