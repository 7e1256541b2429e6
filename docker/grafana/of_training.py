"""How models were trained, episode by episode, and how they go on learning."""

from plots import Board, Plot, now


def _of_learner(metric: str) -> str:
    """Return the query for what the role that learns says; in other processes it is 0."""
    return f'{metric}{{stack=~"$stack", role="learning"}}'


def _course(metric: str, chosen: str = "") -> dict[str, str]:
    """Return the query for the course of the last training of each timeframe, in tenths."""
    return {"{{timeframe}} {{tenth}}": f'{metric}{{stack=~"$stack"{chosen}}}'}


_SHARPE = "tradewind_training_episode_sharpe"

TRAINING = Board(
    "tradewind-training",
    "Tradewind: training",
    {
        "The last training, in tenths of its course": (
            Plot(
                "Episode returns",
                "percentunit",
                _course("tradewind_training_episode_return_fraction"),
                "Mean return of an episode's book after costs. Each update is in MLflow.",
                bars=True,
            ),
            *(
                Plot(
                    f"Sharpe ratio of {n} episodes",
                    "none",
                    _course(_SHARPE, f', episodes="{n}"'),
                    "Mean over deviation of the last returns, not annualised.",
                    bars=True,
                )
                for n in (10, 50, 100)
            ),
            Plot(
                "Win rate",
                "percentunit",
                _course("tradewind_training_win_fraction"),
                "Share of an episode's bars with a gain.",
                bars=True,
            ),
            Plot(
                "Episode length",
                "none",
                _course("tradewind_training_episode_length_bars"),
                "Bars.",
                bars=True,
            ),
        ),
        "Trainings": (
            Plot(
                "Throughput",
                "none",
                {"{{timeframe}}": now("tradewind_training_episodes_per_hour")},
                "Episodes an hour.",
            ),
            Plot(
                "How long it took",
                "s",
                {"{{timeframe}} {{step}}": now("tradewind_training_step_seconds")},
            ),
            Plot(
                "Age of the last one",
                "s",
                {"{{timeframe}}": f"time() - {now('tradewind_training_ended_timestamp_seconds')}"},
            ),
        ),
        "Models that learn": (
            Plot(
                "Updates in a day",
                "none",
                {
                    "{{update_type}} {{outcome}}": "sum by (update_type, outcome) "
                    '(increase(tradewind_model_updates_total{stack=~"$stack"}[1d]))'
                },
            ),
            Plot(
                "Failed since the last that did not",
                "none",
                {"{{stack}}": _of_learner("tradewind_learning_failed_updates")},
            ),
            Plot(
                "Distance from the fit",
                "percentunit",
                {"{{stack}}": _of_learner("tradewind_learning_from_base_fraction")},
                "Below 0.1 % nothing is learned.",
            ),
            Plot(
                "Moved by the last update",
                "percentunit",
                {"{{stack}}": _of_learner("tradewind_learning_moved_fraction")},
                "Distance of the candidate from the models that it began with.",
            ),
        ),
    },
)
