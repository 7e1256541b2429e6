"""The alarm about uneven arms, against scipy."""

import pytest
from scipy.stats import chisquare

from models.rollout.sample_ratio import sample_ratio


@pytest.mark.parametrize(
    ("champion", "challenger", "share"), [(930, 70, 0.05), (70, 30, 0.25), (95, 5, 0.05)]
)
def test_sample_ratio_when_counts_are_large_then_is_scipys_p_value(
    champion: int, challenger: int, share: float
) -> None:
    """The tail is that of chi squared with one degree of freedom."""
    n = champion + challenger
    expected = chisquare([champion, challenger], [n * (1 - share), n * share]).pvalue
    assert sample_ratio(champion, challenger, share).p_value == pytest.approx(expected, rel=1e-12)


def test_sample_ratio_when_units_are_few_then_has_no_p_value() -> None:
    """Ten symbols say nothing about five percent."""
    found = sample_ratio(10, 0, 0.05)
    assert (found.p_value, found.is_alarming) == (None, False)


def test_sample_ratio_when_a_unit_is_in_the_wrong_arm_then_alarms() -> None:
    """The assignment is a function: one unit elsewhere is a defect, whatever the counts."""
    assert sample_ratio(950, 50, 0.05, n_misplaced=1).is_alarming
    assert not sample_ratio(950, 50, 0.05).is_alarming


@pytest.mark.parametrize(("away", "is_alarming"), [(142, False), (143, True)])
def test_sample_ratio_when_it_is_as_rare_as_one_in_a_thousand_then_alarms(
    away: int, *, is_alarming: bool
) -> None:
    """By scipy 142 units too many of 10,000 are a chance of 0.00104, and 143 of 0.00096."""
    p_value = chisquare([7500 - away, 2500 + away], [7500, 2500]).pvalue
    assert bool(p_value < 0.001) is is_alarming
    assert sample_ratio(7500 - away, 2500 + away, 0.25).is_alarming is is_alarming


def test_sample_ratio_when_the_split_is_impossible_then_alarms() -> None:
    """None of a thousand where fifty are expected."""
    assert sample_ratio(1000, 0, 0.05).is_alarming
