"""``python docker/grafana/boards.py``: writes the dashboards that Grafana is provisioned with.

Tables of panels in, JSON out, through Grafana's own builders: what they accept is what Grafana
reads. Every name in a query is declared in streams/metrics.py (tests/contract/test_monitoring.py).
"""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

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
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef

FOLDER = Path(__file__).parent / "dashboards"

# Grafana's grid is 24 wide; three panels stand side by side.
_WIDTH, _HEIGHT = 8, 8

_SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")


class Plot(NamedTuple):
    """One panel: what it is called, in which unit, and its queries by their legend."""

    title: str
    unit: str
    queries: dict[str, str]
    about: str = ""


class Board(NamedTuple):
    """One dashboard: its file and address, its title, and its sections of panels."""

    uid: str
    title: str
    sections: dict[str, tuple[Plot, ...]]


def _p95(metric: str, by: str, chosen: str = "") -> str:
    """Return the query for the 95 % quantile of a histogram."""
    where = f'stack=~"$stack"{chosen}'
    return f"histogram_quantile(0.95, sum by ({by}, le) (rate({metric}_bucket{{{where}}}[5m])))"


def _rate(metric: str, by: str, chosen: str = "") -> str:
    """Return the query for a counter's rate per second."""
    return f'sum by ({by}) (rate({metric}{{stack=~"$stack"{chosen}}}[5m]))'


def _now(metric: str) -> str:
    """Return the query for a gauge as it is."""
    return f'{metric}{{stack=~"$stack"}}'


_READS = "tradewind_feature_cache_reads_total"
_HITS = (
    f'sum(rate({_READS}{{stack=~"$stack", outcome="hit"}}[5m])) / '
    f'sum(rate({_READS}{{stack=~"$stack", level="process"}}[5m]))'
)
_TRADES = ', action=~"BUY|SELL", verdict="approved"'

SYSTEM = Board(
    "tradewind-system",
    "Tradewind: system performance",
    {
        "Roles": (
            Plot("Roles that answer", "none", {"{{role}}": _now("up")}, "1 answers, 0 does not."),
            Plot(
                "Processor",
                "percentunit",
                {"{{role}}": _rate("process_cpu_seconds_total", "role")},
                "Share of one core.",
            ),
            Plot("Memory", "bytes", {"{{role}}": _now("process_resident_memory_bytes")}),
            Plot(
                "Memory: growth",
                "Bps",
                {"{{role}}": 'deriv(process_resident_memory_bytes{stack=~"$stack"}[1h])'},
                "A leak is a line above 0 that does not end.",
            ),
            Plot("Open files", "none", {"{{role}}": _now("process_open_fds")}),
            Plot("Disk", "percentunit", {"{{role}}": _now("tradewind_disk_used_fraction")}),
        ),
        "Stages": (
            Plot(
                "Records taken",
                "cps",
                {"{{stage}}": _rate("tradewind_stage_records_total", "stage", ', outcome="taken"')},
            ),
            Plot(
                "Hop, P95",
                "s",
                {"{{stage}}": _p95("tradewind_stage_delay_seconds", "stage")},
                "From a record's time in Kafka until what it caused is acknowledged.",
            ),
            Plot(
                "Lag",
                "none",
                {"{{stage}}": 'sum by (stage) (tradewind_stage_lag_records{stack=~"$stack"})'},
            ),
            Plot("Step, P95", "s", {"{{stage}}": _p95("tradewind_stage_step_seconds", "stage")}),
            Plot("Send, P95", "s", {"{{stage}}": _p95("tradewind_stage_send_seconds", "stage")}),
            Plot(
                "Snapshot, P95",
                "s",
                {"{{stage}}": _p95("tradewind_stage_snapshot_seconds", "stage")},
            ),
            Plot(
                "Bytes of snapshots",
                "Bps",
                {"{{stage}}": _rate("tradewind_stage_snapshot_bytes_total", "stage")},
            ),
            Plot(
                "Slices at the barrier",
                "none",
                {"{{role}}": _now("tradewind_barrier_waiting_slices")},
            ),
            Plot(
                "Dead letters",
                "cps",
                {"{{stage}} {{reason}}": _rate("tradewind_dead_letters_total", "stage, reason")},
            ),
        ),
        "Requests": (
            Plot("Answers, P95", "s", {"{{endpoint}}": _p95("tradewind_http_seconds", "endpoint")}),
            Plot(
                "Answers",
                "reqps",
                {
                    "{{endpoint}} {{status}}": _rate(
                        "tradewind_http_seconds_count", "endpoint, status"
                    )
                },
            ),
            Plot("Cache: hits", "percentunit", {"hits": _HITS}),
        ),
        "What is away": (
            Plot("Broker away", "none", {"{{role}}": _now("tradewind_broker_away")}),
            Plot("Breaker open", "none", {"{{store}}": _now("tradewind_breaker_open")}),
            Plot("Waiting on disk", "none", {"{{spill}}": _now("tradewind_spill_records")}),
        ),
        "Forensics": (
            Plot(
                "Not in the trail yet",
                "none",
                {"partition {{partition}}": _now("tradewind_audit_lag_records")},
            ),
            Plot(
                "Decision to durable row, P95",
                "s",
                {"{{stack}}": _p95("tradewind_audit_delay_seconds", "stack")},
            ),
            Plot("Explained", "cps", {"{{why}}": _rate("tradewind_explanations_total", "why")}),
        ),
    },
)

DECISIONS = Board(
    "tradewind-decisions",
    "Tradewind: trading decisions",
    {
        "Decisions": (
            Plot(
                "Actions",
                "cps",
                {"{{action}} {{verdict}}": _rate("tradewind_decisions_total", "action, verdict")},
            ),
            Plot(
                "Trades an hour",
                "none",
                {"{{action}}": "3600 * " + _rate("tradewind_decisions_total", "action", _TRADES)},
            ),
            Plot(
                "Refused, by control",
                "cps",
                {"{{code}}": _rate("tradewind_rejections_total", "code")},
            ),
        ),
        "Portfolio": (
            Plot("Value", "none", {"{{portfolio}}": _now("tradewind_portfolio_equity")}),
            Plot(
                "Loss of the day",
                "percentunit",
                {"{{portfolio}}": _now("tradewind_portfolio_daily_loss_fraction")},
            ),
            Plot(
                "Drawdown",
                "percentunit",
                {"{{portfolio}}": _now("tradewind_portfolio_drawdown_fraction")},
            ),
            Plot(
                "Value at risk, one day, 95 %",
                "percentunit",
                {"{{portfolio}} {{measure}}": _now("tradewind_portfolio_var_fraction")},
            ),
            Plot("Leverage", "none", {"{{portfolio}}": _now("tradewind_portfolio_leverage")}),
            Plot(
                "Largest position",
                "percentunit",
                {"{{portfolio}}": _now("tradewind_portfolio_concentration")},
            ),
            Plot(
                "State",
                "none",
                {"{{portfolio}}": _now("tradewind_portfolio_state")},
                "0 active, 1 reductions only, 2 halted.",
            ),
            Plot(
                "Surprises of the account",
                "none",
                {"{{portfolio}} {{code}}": _now("tradewind_risk_alerts_total")},
            ),
            Plot(
                "Approved for more than allowed",
                "none",
                {"{{portfolio}}": _now("tradewind_risk_violations_total")},
            ),
        ),
        "Models": (
            Plot(
                "Entropy of regimes",
                "none",
                {"{{partition}}/{{chunk}}": _now("tradewind_regime_entropy_bits")},
                "Bits; above 1.5 a row says little, 1.585 is knowing nothing.",
            ),
            Plot(
                "Share of the options",
                "percentunit",
                {"{{option}}": f"avg by (option) ({_now('tradewind_option_usage_fraction')})"},
            ),
            Plot("Ticks", "cps", {"{{outcome}}": _rate("tradewind_ticks_total", "outcome")}),
        ),
    },
)

BOARDS = (SYSTEM, DECISIONS)


def queries(board: Board) -> Iterator[str]:
    """Give every query of a dashboard."""
    for plots in board.sections.values():
        for plot in plots:
            yield from plot.queries.values()


def _panel(plot: Plot) -> Timeseries:
    panel = (
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
    for number, (legend, query) in enumerate(plot.queries.items()):
        target = Dataquery().expr(query).legend_format(legend).ref_id(chr(ord("A") + number))
        panel = panel.with_target(target.datasource(_SOURCE))
    return panel


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
