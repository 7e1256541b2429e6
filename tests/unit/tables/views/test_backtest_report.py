"""The report: one file, nothing fetched, nothing of a stranger unescaped."""

import re
from typing import Any

import numpy as np

from models.backtest.sheet import sheet
from tables.backtest import Kept, Measured
from tables.stores.backtest_folder import finite
from tables.views.backtest_charts import MOST_POINTS, thinned
from tables.views.backtest_report import (
    Portfolio,
    compared,
    comparison_report,
    months_of,
    report,
    rows_of,
)
from tests.unit.models.backtest.series import series

WALK = 100.0 * np.exp(np.cumsum(np.random.default_rng(3).normal(0.0, 0.01, 300)))


def portfolio(name: str = "main") -> Portfolio:
    """Return a portfolio that walked for 300 days."""
    walked = series(WALK, fees=np.ones(300), gross=WALK / 2, bull=np.ones(300))
    kept = Kept(None, 300, 0)  # type: ignore[arg-type]  a report asks for no points
    kept.verdicts.update({"hold": 3})
    kept.rejections.update({"MAX_VAR": 2})
    return Portfolio(name, "ab" * 32, kept, Measured(walked, sheet(walked, 100.0), 0))


def summary(*remarks: str) -> dict[str, Any]:
    """Return what the head of a report shows."""
    facts = [("Data", "<script>x"), ("Book", "fresh")]
    return {"facts": facts, "remarks": list(remarks)}


def test_report_when_made_then_is_whole_and_fetches_nothing() -> None:
    """Five pictures, the tear sheet, months; no address of another file, no script."""
    page = report(summary("IN SAMPLE <b>"), [portfolio()])
    assert page.count("<svg") == 5
    assert "Sharpe ratio" in page
    assert "&lt;script&gt;x" in page
    assert "IN SAMPLE &lt;b&gt;" in page
    assert "<script" not in page
    assert not re.search(r"<(?:link|img|iframe)|\bsrc=|url\((?!#)", page)
    assert page == report(summary("IN SAMPLE <b>"), [portfolio()])


def test_report_when_nothing_was_warm_then_says_so() -> None:
    """An empty page has a reason on it."""
    nothing = portfolio()._replace(result=Measured(series([]), None, 5))
    page = report(summary(), [nothing])
    assert "Nothing but warming up" in page
    assert (rows_of(None), months_of(None)) == ([], [])


def test_comparison_when_configurations_differ_then_has_a_row_each() -> None:
    """One picture of all curves, one row a configuration, a dash where there is no number."""
    plain = portfolio().result.sheet
    assert plain is not None
    summaries = {
        "a-1": summary() | {"portfolios": {"main": {"sheet": finite(plain._asdict())}}},
        "a-2": summary() | {"portfolios": {"main": {"sheet": None}}},
    }
    curve = (series(WALK).close_ns, WALK)
    page = comparison_report(["main"], summaries, {"a-1": {"main": curve}, "a-2": {}})
    header, rows = compared("main", summaries)
    assert header[:2] == ["configuration", "return"]
    assert [row[0] for row in rows] == ["a-1", "a-2"]
    assert set(rows[1][1:]) == {"-"}
    assert page.count("<svg") == 1
    assert "<td>a-2</td>" in page


def test_thinned_when_a_curve_is_long_then_keeps_its_peaks() -> None:
    """Lowest and highest of each stretch stay, and the two ends."""
    values = np.zeros(50_000)
    values[[777, 40_001]] = 5.0, -5.0
    kept = thinned(values)
    assert len(kept) <= MOST_POINTS + 2
    assert {0, 777, 40_001, 49_999} <= set(kept.tolist())
    assert np.all(np.diff(kept) > 0)
