"""``python docker/grafana/boards.py``: writes the dashboards that Grafana is provisioned with.

Tables of panels in, JSON out, through Grafana's own builders: what they accept is what Grafana
reads. Every name in a query is declared in streams/metrics.py (tests/contract/test_monitoring.py).
"""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

from grafana_foundation_sdk.builders.bargauge import Panel as Bars
from grafana_foundation_sdk.builders.common import VizLegendOptions, VizTooltipOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable
from grafana_foundation_sdk.builders.dashboard import Row as SectionRow
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from of_decisions import DECISIONS
from of_rollout import ROLLOUT
from of_system import SYSTEM
from of_training import TRAINING
from plots import Board, Plot

FOLDER = Path(__file__).parent / "dashboards"

# Grafana's grid is 24 wide; three panels stand side by side.
_WIDTH, _HEIGHT = 8, 8

_SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")

BOARDS = (TRAINING, SYSTEM, DECISIONS, ROLLOUT)


def queries(board: Board) -> Iterator[str]:
    """Give every query of a dashboard."""
    for plots in board.sections.values():
        for plot in plots:
            yield from plot.queries.values()


def _panel(plot: Plot) -> Timeseries | Bars:
    panel: Timeseries | Bars = _bars(plot) if plot.bars else _lines(plot)
    for number, (legend, query) in enumerate(plot.queries.items()):
        target = Dataquery().expr(query).legend_format(legend).ref_id(chr(ord("A") + number))
        if plot.bars:
            target = target.instant()
        if legend == "{{le}}":
            # Buckets hold all that is below; Grafana takes them apart.
            target = target.format(PromQueryFormat.HEATMAP)
        panel = panel.with_target(target.datasource(_SOURCE))
    return panel


def _bars(plot: Plot) -> Bars:
    return (
        Bars()
        .title(plot.title)
        .description(plot.about)
        .datasource(_SOURCE)
        .unit(plot.unit)
        .span(_WIDTH)
        .height(_HEIGHT)
        .orientation(VizOrientation.VERTICAL)
    )


def _lines(plot: Plot) -> Timeseries:
    return (
        Timeseries()
        .title(plot.title)
        .description(plot.about)
        .datasource(_SOURCE)
        .unit(plot.unit)
        .min(0 if plot.unit in {"s", "bytes", "cps", "reqps"} else None)
        .span(_WIDTH)
        .height(_HEIGHT)
        .fill_opacity(10)
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)  # noqa: FBT003  the builder's form
        )
    )


def rendered(board: Board) -> str:
    """Return a dashboard as the JSON that Grafana reads."""
    made = (
        Dashboard(board.title)
        .uid(board.uid)
        .tags(["tradewind"])
        .readonly()
        .timezone("utc")
        .refresh("30s")
        .time("now-6h", "now")
        .with_variable(DatasourceVariable("source").type("prometheus").label("Prometheus"))
        .with_variable(
            QueryVariable("stack")
            .label("Stack")
            .datasource(_SOURCE)
            .query("label_values(up, stack)")
            .include_all(True)  # noqa: FBT003  the builder's form
            .all_value(".*")
        )
    )
    ids = count(1)
    for title, plots in board.sections.items():
        made = made.with_row(SectionRow(title).id(next(ids)))
        for plot in plots:
            made = made.with_panel(_panel(plot).id(next(ids)))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


if __name__ == "__main__":
    for each in BOARDS:
        (FOLDER / f"{each.uid}.json").write_text(rendered(each))
