"""How the system does: processor and memory, stages, requests, what is away, training."""

from plots import Board, Plot, now, p95, rate

_READS = "tradewind_feature_cache_reads_total"
_HITS = (
    f'sum(rate({_READS}{{stack=~"$stack", outcome="hit"}}[5m])) / '
    f'sum(rate({_READS}{{stack=~"$stack", level="process"}}[5m]))'
)

SYSTEM = Board(
    "tradewind-system",
    "Tradewind: system performance",
    {
        "Roles": (
            Plot("Roles that answer", "none", {"{{role}}": now("up")}, "1 answers, 0 does not."),
            Plot(
                "Processor",
                "percentunit",
                {"{{role}}": rate("process_cpu_seconds_total", "role")},
                "Share of one core.",
            ),
            Plot("Memory", "bytes", {"{{role}}": now("process_resident_memory_bytes")}),
            Plot(
                "Memory: growth",
                "Bps",
                {"{{role}}": 'deriv(process_resident_memory_bytes{stack=~"$stack"}[1h])'},
                "A leak is a line above 0 that does not end.",
            ),
            Plot("Open files", "none", {"{{role}}": now("process_open_fds")}),
            Plot("Disk", "percentunit", {"{{role}}": now("tradewind_disk_used_fraction")}),
        ),
        "Stages": (
            Plot(
                "Records taken",
                "cps",
                {"{{stage}}": rate("tradewind_stage_records_total", "stage", ', outcome="taken"')},
            ),
            Plot(
                "Hop, P95",
                "s",
                {"{{stage}}": p95("tradewind_stage_delay_seconds", "stage")},
                "From a record's time in Kafka until what it caused is acknowledged.",
            ),
            Plot(
                "Lag",
                "none",
                {"{{stage}}": 'sum by (stage) (tradewind_stage_lag_records{stack=~"$stack"})'},
            ),
            Plot("Step, P95", "s", {"{{stage}}": p95("tradewind_stage_step_seconds", "stage")}),
            Plot("Send, P95", "s", {"{{stage}}": p95("tradewind_stage_send_seconds", "stage")}),
            Plot(
                "Snapshot, P95",
                "s",
                {"{{stage}}": p95("tradewind_stage_snapshot_seconds", "stage")},
            ),
            Plot(
                "Bytes of snapshots",
                "Bps",
                {"{{stage}}": rate("tradewind_stage_snapshot_bytes_total", "stage")},
            ),
            Plot(
                "Slices at the barrier",
                "none",
                {"partition {{partition}}": now("tradewind_barrier_waiting_slices")},
            ),
            Plot(
                "Dead letters",
                "cps",
                {"{{stage}} {{reason}}": rate("tradewind_dead_letters_total", "stage, reason")},
            ),
        ),
        "Requests": (
            Plot("Answers, P95", "s", {"{{endpoint}}": p95("tradewind_http_seconds", "endpoint")}),
            Plot(
                "Answers",
                "reqps",
                {
                    "{{endpoint}} {{status}}": rate(
                        "tradewind_http_seconds_count", "endpoint, status"
                    )
                },
            ),
            Plot("Cache: hits", "percentunit", {"hits": _HITS}),
        ),
        "Training": (
            Plot(
                "Throughput",
                "none",
                {"{{timeframe}}": now("tradewind_training_episodes_per_hour")},
                "Episodes an hour, of the last training.",
            ),
        ),
        "What is away": (
            Plot("Broker away", "none", {"{{role}}": now("tradewind_broker_away")}),
            Plot("Breaker open", "none", {"{{store}}": now("tradewind_breaker_open")}),
            Plot("Waiting on disk", "none", {"{{spill}}": now("tradewind_spill_records")}),
        ),
        "Forensics": (
            Plot(
                "Not in the trail yet",
                "none",
                {"partition {{partition}}": now("tradewind_audit_lag_records")},
            ),
            Plot(
                "Decision to durable row, P95",
                "s",
                {"{{stack}}": p95("tradewind_audit_delay_seconds", "stack")},
            ),
            Plot("Explained", "cps", {"{{why}}": rate("tradewind_explanations_total", "why")}),
        ),
    },
)
