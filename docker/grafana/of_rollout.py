"""Champion and challenger side by side: where a rollout is, and what it has shown."""

from plots import Board, Plot, rate


def _arms(metric: str, by: str = "{{arm}}") -> dict[str, str]:
    """Return the query for what the role of rollouts says; in other processes it is 0."""
    return {by: f'{metric}{{stack=~"$stack", role="rollout"}}'}


_REFUSED_FRACTION = (
    'tradewind_rollout_refused_decisions{stack=~"$stack", role="rollout"} / '
    'tradewind_rollout_decisions{stack=~"$stack", role="rollout"}'
)

ROLLOUT = Board(
    "tradewind-rollout",
    "Tradewind: A/B comparison",
    {
        "Where it is": (
            Plot("A rollout runs", "none", _arms("tradewind_rollout_running", "{{stack}}")),
            Plot(
                "Share of the challenger",
                "percentunit",
                _arms("tradewind_rollout_share", "{{stack}}"),
                "0 in shadow, then 5 %, 25 % and all.",
            ),
            Plot("Bars with an outcome", "none", _arms("tradewind_rollout_bars", "{{stack}}")),
            Plot(
                "Steps",
                "none",
                _arms("tradewind_rollout_transitions_total", "{{kind}} by {{by}}"),
            ),
            Plot(
                "Errors of the challenger",
                "cps",
                {"{{stack}}": rate("tradewind_challenger_errors_total", "stack")},
            ),
        ),
        "Both arms": (
            Plot("Log loss", "none", _arms("tradewind_rollout_loss_nats"), "Nats; less is better."),
            Plot(
                "Loss: bounds of the difference",
                "none",
                _arms("tradewind_rollout_loss_difference_nats", "{{bound}}"),
                "Challenger less champion. Both below 0: better for certain; both above: worse.",
            ),
            Plot("Earned", "percentunit", _arms("tradewind_rollout_earned_fraction")),
            Plot(
                "Earned: bounds of the difference",
                "percentunit",
                _arms("tradewind_rollout_earned_difference_fraction", "{{bound}}"),
                "Of a bar, challenger less champion.",
            ),
            Plot("Latency, P95", "s", _arms("tradewind_rollout_p95_seconds")),
            Plot("Decisions", "none", _arms("tradewind_rollout_decisions")),
            Plot("Refused", "percentunit", {"{{arm}}": _REFUSED_FRACTION}),
            Plot("Missed violations", "none", _arms("tradewind_rollout_violations")),
        ),
        "How alike they are": (
            Plot(
                "Same side",
                "percentunit",
                _arms("tradewind_rollout_agreement_fraction", "{{stack}}"),
            ),
            Plot(
                "Correlation of targets",
                "none",
                _arms("tradewind_rollout_target_correlation", "{{stack}}"),
                "Above 0.95 the shadow may be left.",
            ),
            Plot(
                "Distance of the weights",
                "percentunit",
                _arms("tradewind_rollout_weight_distance", "{{stack}}"),
            ),
            Plot(
                "Arms of other sizes than meant",
                "none",
                _arms("tradewind_rollout_split_alarm", "{{stack}}"),
            ),
        ),
    },
)
