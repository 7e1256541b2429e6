"""The report of a backtest: one HTML file that needs nothing else."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

from models.arrays import Floats, Indices
from models.backtest.sheet import Sheet
from streams.timestamps import format_ns
from tables.backtest import Kept, Measured
from tables.views.backtest_charts import charts, comparison
from tables.views.number_text import percent_text
from tables.views.templates import render, style_sheet

_MONTHS = tuple(range(1, 13))
_TENTH = 0.1


Curves = dict[str, tuple[Indices, Floats]]

_SHARED_FACTS = frozenset({"Data", "Range", "Models", "Book"})


class Portfolio(NamedTuple):
    """One portfolio as the report shows it."""

    name: str
    digest: str
    kept: Kept
    result: Measured


def report(summary: Mapping[str, Any], portfolios: list[Portfolio]) -> str:
    """Return the page of one backtest."""
    shown = [
        {
            "name": each.name,
            "digest": each.digest,
            "rows": rows_of(each.result.sheet),
            "sheet": each.result.sheet,
            "months": months_of(each.result.sheet),
            "drawdowns": drawdowns_of(each.result.sheet),
            "verdicts": sorted(each.kept.verdicts.items(), key=lambda pair: -pair[1]),
            "pictures": [
                # Drawn here from numbers and names of ours: no text of a stranger is in it.
                Markup(picture)  # noqa: S704  see above
                for picture in charts(
                    each.result.series, each.result.sheet.first_equity, each.kept.rejections
                )
            ]
            if each.result.sheet
            else [],
        }
        for each in portfolios
    ]
    return render("backtest.html", summary=summary, portfolios=shown, css=_css(), months=_MONTHS)


def comparison_report(
    names: list[str], summaries: Mapping[str, Any], equity: Mapping[str, Curves]
) -> str:
    """Return the page that compares the configurations of a sweep, portfolio by portfolio."""
    portfolios = []
    for name in names:
        header, rows = compared(name, summaries)
        curves = {each: curves[name] for each, curves in equity.items() if name in curves}
        picture = Markup(comparison(curves))  # noqa: S704  drawn here, see above
        portfolios.append({"name": name, "header": header, "rows": rows, "picture": picture})
    shared = next(iter(summaries.values()))
    summary = {
        "facts": [fact for fact in shared["facts"] if fact[0] in _SHARED_FACTS],
        "remarks": shared["remarks"],
    }
    return render("sweep.html", summary=summary, portfolios=portfolios, css=_css())


def compared(name: str, summaries: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a table with one row a configuration."""
    rows = []
    for configuration, summary in summaries.items():
        sheet = summary["portfolios"][name]["sheet"] or {}
        numbers = [
            wrote(math.nan if sheet.get(field) is None else float(sheet[field]))
            for field, _, wrote in _COMPARED
        ]
        rows.append([configuration, *numbers])
    return ["configuration", *(title for _, title, _ in _COMPARED)], rows


def rows_of(sheet: Sheet | None) -> list[tuple[str, str]]:
    """Return the numbers of a tear sheet as people read them."""
    if sheet is None:
        return []
    low, high = number(sheet.sharpe_low), number(sheet.sharpe_high)
    return [
        ("Return", share(sheet.total_return)),
        ("Annualised return", share(sheet.annual_return)),
        ("Annualised volatility", share(sheet.annual_volatility)),
        ("Sharpe ratio", number(sheet.sharpe)),
        ("its 95 % interval", f"{low} to {high}"),
        ("Sortino ratio", number(sheet.sortino)),
        ("Calmar ratio", number(sheet.calmar)),
        ("Deepest drawdown", share(sheet.max_drawdown)),
        (f"Best {sheet.returns_by}", share(sheet.best_return)),
        (f"Worst {sheet.returns_by}", share(sheet.worst_return)),
        (f"{sheet.returns_by.capitalize()}s above zero", share(sheet.hit_fraction)),
        ("Turnover a year", f"{number(sheet.annual_turnover)} times equity"),
        ("Fees", f"{sheet.fees:,.2f}"),
        ("Slippage", f"{sheet.slippage:,.2f}"),
        ("Costs, of the first equity", share(sheet.cost_fraction)),
        ("Mean gross exposure", share(sheet.mean_gross)),
        ("Mean net exposure", share(sheet.mean_net)),
        ("Bars with a position", share(sheet.invested_fraction)),
        ("Orders approved", f"{sheet.n_approved:,}"),
        ("Orders refused", f"{sheet.n_refused:,}"),
    ]


def months_of(sheet: Sheet | None) -> list[tuple[int, list[tuple[str, str]], str]]:
    """Return (year, twelve months with their colour, the whole year)."""
    by_year: dict[int, dict[int, float]] = {}
    for year, month, value in sheet.monthly if sheet else ():
        by_year.setdefault(year, {})[month] = value
    found = []
    for year, months in by_year.items():
        cells = [
            (share(months[month]), _colour(months[month])) if month in months else ("", "")
            for month in _MONTHS
        ]
        found.append((year, cells, share(math.prod(1.0 + v for v in months.values()) - 1.0)))
    return found


def drawdowns_of(sheet: Sheet | None) -> list[tuple[str, str, str, str]]:
    """Return depth, peak, trough and end of the deepest falls."""
    return [
        (
            share(fall.depth),
            format_ns(fall.peak_ns),
            format_ns(fall.trough_ns),
            format_ns(fall.end_ns) if fall.end_ns >= 0 else "not yet",
        )
        for fall in (sheet.drawdowns if sheet else ())
    ]


def share(fraction: float) -> str:
    """Return a fraction as per cent, a dash where there is none.

    Examples
    --------
    >>> share(float("nan")), share(0.125).split()
    ('-', ['12.5', '%'])
    """
    if not math.isfinite(fraction):
        return "-"
    return percent_text(fraction, 2 if abs(fraction) < _TENTH else 1)


def number(value: float) -> str:
    """Return a ratio with two decimals, a dash where there is none."""
    return f"{value:,.2f}" if math.isfinite(value) else "-"


def _count(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "-"


_COMPARED: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("total_return", "return", share),
    ("annual_return", "a year", share),
    ("annual_volatility", "volatility", share),
    ("sharpe", "Sharpe", number),
    ("sharpe_low", "from", number),
    ("sharpe_high", "to", number),
    ("max_drawdown", "drawdown", share),
    ("annual_turnover", "turnover", number),
    ("cost_fraction", "costs", share),
    ("mean_gross", "gross", share),
    ("n_approved", "approved", _count),
    ("n_refused", "refused", _count),
)


def _colour(value: float) -> str:
    strength = min(abs(value) / _TENTH, 1.0) * 0.5
    return f"rgba({'47,158,110' if value >= 0 else '163,22,31'},{strength:.2f})"


def _css() -> Markup:
    return Markup(style_sheet())  # noqa: S704  our own file
