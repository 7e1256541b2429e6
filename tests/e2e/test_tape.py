"""A real hour of trades through the whole program; needs the folder in ``TRADEWIND_DATA``."""

import re
from pathlib import Path

import pytest

from tests.e2e.test_demo import run

pytestmark = [pytest.mark.broker, pytest.mark.tape, pytest.mark.timeout(600)]


def test_demo_when_given_a_real_hour_of_trades_then_the_verification_holds(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five stocks by the second, with gaps and idle symbols: every slot is decided, exactly.

    The hour is read and fitted on; its last quarter is shown.
    """
    file = data / "trades_nasdaq_1h.parquet"
    ended = run(tmp_path, f"--file={file}", "--timeframe=1s", "--from=2023-09-05T16:45:00Z")
    said = ended.stdout
    assert ended.returncode == 0, said
    assert "every slot decided" in said
    (n_decisions,) = re.findall(r"n decisions\s*│\s*([\d,]+)", said)
    assert int(n_decisions.replace(",", "")) > 1_000
    with capsys.disabled():
        print(said[said.index("ticks in") - 2 :])  # noqa: T201  the counts are this test's report
