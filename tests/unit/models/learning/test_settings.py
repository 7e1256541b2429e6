"""Settings of updates: what cannot be is refused by its name."""

import pytest

from models.errors import NotFitted
from models.learning.settings import MODES, Settings


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"window_days": 29}, "window_days was 29: expected 30 to 90"),
        ({"window_days": 91}, "window_days was 91"),
        ({"strength": -1.0}, "strength was -1"),
        ({"learning_rate": 0.0}, "learning_rate 0"),
        ({"prior": -0.1}, "prior -0.1"),
        ({"passes": 0}, "passes 0"),
        ({"batch_rows": 0}, "batch_rows 0"),
        ({"gate_days": 0}, "gate_days 0"),
    ],
)
def test_settings_when_one_is_out_of_range_then_is_refused(
    wrong: dict[str, float], said: str
) -> None:
    """A window, a rate or a count that cannot be is named with what was expected."""
    with pytest.raises(NotFitted, match=said):
        Settings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("window_days", [30, 90])
def test_settings_when_at_the_edge_then_are_taken(window_days: int) -> None:
    """Thirty and ninety days are windows, and nothing that holds is a strength."""
    edge = Settings(
        strength=0.0, prior=0.0, window_days=window_days, passes=1, batch_rows=1, gate_days=1
    )
    assert edge.record()["window_days"] == window_days


def test_settings_when_safe_then_are_the_promised_numbers() -> None:
    """Lambda 1000 and a rate of 1e-5 on the raw information are the default."""
    assert MODES["safe"] == Settings()
    assert MODES["safe"].record()["strength"] == 1000.0
    assert MODES["safe"].record()["learning_rate"] == 1e-5
