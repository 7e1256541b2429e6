"""The pictures of a backtest's report, as SVG: no script, no fetching, readable in ten years.

Drawn by matplotlib: five pictures take some 100 kB, where an interactive library would put 3 MB of
script into every report. Long curves are thinned to what a screen can show, keeping the lowest and
the highest value of each stretch.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from models.arrays import Floats, Indices
from models.backtest.points import UTILISED, Series
from models.backtest.sheet import drawdown
from streams.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Points of a curve: about one a pixel.
MOST_POINTS = 1_000

_WIDTH, _HEIGHT = 9.0, 2.4
_BLUE, _RED, _GREY = "#0b6e66", "#a3161f", "#566372"
_REGIMES = {"bull": "#2f9e6e", "bear": "#d1682f", "sideways": "#94a3b3"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tradewind",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "lines.linewidth": 1.1,
}


def check_installed() -> None:
    """Say before anything runs that reports cannot be drawn.

    Raises
    ------
    SettingsError
        If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415  only reports need it
    except ModuleNotFoundError as error:
        raise SettingsError(
            "reports are drawn by matplotlib, which is not installed: install the extra "
            "`backtest`, or give --no-report"
        ) from error
    mpl.use("svg")


def charts(series: Series, first_equity: float, rejections: Mapping[str, int]) -> list[str]:
    """Return the pictures of one portfolio."""
    times = _times(series.close_ns)
    drawn = [_worth(series, times, first_equity), _exposure(series, times), _limits(series, times)]
    drawn.append(_attribution(series, times))
    if rejections:
        drawn.append(_refusals(rejections))
    return drawn


def comparison(curves: Mapping[str, tuple[Indices, Floats]]) -> str:
    """Return the equity curves of several configurations, each over its first value."""
    figure, axes = _figure(3.2)
    for name, (close_ns, equity) in curves.items():
        if len(close_ns):
            kept = thinned(equity)
            axes.plot(_times(close_ns)[kept], equity[kept] / equity[0], label=name)
    axes.set_title("Equity over its first value", loc="left")
    axes.legend(fontsize=8, ncols=2)
    return _svg(figure)


def thinned(values: Floats) -> Indices:
    """Return the places of the points that a screen can tell apart, rising.

    Of each stretch the lowest and the highest value stay, and the two ends.

    Examples
    --------
    >>> thinned(np.array([1.0, 2.0, 3.0])).tolist()
    [0, 1, 2]
    """
    n_points = len(values)
    if n_points <= MOST_POINTS:
        return np.arange(n_points)
    edges = np.linspace(0, n_points, MOST_POINTS // 2 + 1).astype(np.int64)
    kept = {0, n_points - 1}
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        stretch = values[start:end]
        kept |= {start + int(stretch.argmin()), start + int(stretch.argmax())}
    return np.array(sorted(kept), np.int64)


def _worth(series: Series, times: Any, first_equity: float) -> str:  # noqa: ANN401  datetime64
    figure, axes = _figure(3.2)
    kept = thinned(series.equity)
    axes.plot(times[kept], series.equity[kept], color=_BLUE)
    axes.set_title("Equity, and how far it lies below its highest", loc="left")
    under = axes.twinx()
    fallen = 100.0 * drawdown(series.equity, first_equity)
    under.fill_between(times[kept], fallen[kept], color=_RED, alpha=0.25, linewidth=0)
    lowest = float(fallen.min())
    under.set_ylim(min(3.0 * lowest, -1e-6), 0.0)
    under.set_ylabel("drawdown, %")
    under.grid(visible=False)
    return _svg(figure)


def _exposure(series: Series, times: Any) -> str:  # noqa: ANN401  datetime64
    figure, axes = _figure()
    for name, colour in (("gross", _BLUE), ("net", _GREY)):
        share = getattr(series, name) / series.equity
        kept = thinned(share)
        axes.plot(times[kept], share[kept], color=colour, label=name)
    axes.set_title("Exposure over equity", loc="left")
    axes.legend(fontsize=8)
    return _svg(figure)


def _limits(series: Series, times: Any) -> str:  # noqa: ANN401  datetime64
    figure, axes = _figure()
    for name in UTILISED:
        used = getattr(series, name)
        kept = thinned(used)
        axes.plot(times[kept], used[kept], label=name, linewidth=0.8)
    axes.axhline(1.0, color=_RED, linewidth=0.8)
    axes.set_title("Share of each limit that is used", loc="left")
    axes.legend(fontsize=7, ncols=4)
    return _svg(figure)


def _attribution(series: Series, times: Any) -> str:  # noqa: ANN401  datetime64
    figure, axes = _figure()
    for name, colour in _REGIMES.items():
        earned = np.cumsum(getattr(series, name))
        kept = thinned(earned)
        axes.plot(times[kept], earned[kept], color=colour, label=name)
    spent = -np.cumsum(series.fees + series.slippage)
    kept = thinned(spent)
    axes.plot(times[kept], spent[kept], color=_RED, linestyle="--", label="costs")
    axes.set_title("What positions earned by regime of the bar before, and costs", loc="left")
    axes.legend(fontsize=8, ncols=4)
    return _svg(figure)


def _refusals(rejections: Mapping[str, int]) -> str:
    names: Sequence[str] = sorted(rejections, key=lambda code: rejections[code])
    figure, axes = _figure(0.6 + 0.22 * len(names))
    bars = axes.barh(names, [rejections[name] for name in names], color=_GREY, height=0.6)
    axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
    axes.set_title("Orders refused, by reason (an order can have several)", loc="left")
    return _svg(figure)


def _figure(height: float = _HEIGHT) -> "tuple[Figure, Axes]":
    import matplotlib as mpl  # noqa: PLC0415  only reports need it
    from matplotlib.figure import Figure  # noqa: PLC0415  see above

    mpl.rcParams.update(_STYLE)
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: "Figure") -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    whole = text.getvalue()
    return whole[whole.index("<svg") :]


def _times(close_ns: Indices) -> Any:  # noqa: ANN401  datetime64 has no type of its own
    return close_ns.astype("datetime64[ns]")
