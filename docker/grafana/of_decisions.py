"""What is decided, and what comes of it: actions, trades, portfolios, models."""

from plots import Board, Plot, now, rate

_TRADES = ', action=~"BUY|SELL", verdict="approved"'

DECISIONS = Board(
    "tradewind-decisions",
    "Tradewind: trading decisions",
    {
        "Decisions": (
            Plot(
                "Actions",
                "cps",
                {"{{action}} {{verdict}}": rate("tradewind_decisions_total", "action, verdict")},
            ),
            Plot(
                "Trades an hour",
                "none",
                {"{{action}}": "3600 * " + rate("tradewind_decisions_total", "action", _TRADES)},
            ),
            Plot(
                "Profit and loss per trade, of a day",
                "none",
                {
                    "{{le}}": 'sum by (le) (increase(tradewind_trade_result_bucket{stack=~"$stack"}'
                    "[1d]))"
                },
                "Trades that closed a position, by what they earned up to, in money after the fee.",
                bars=True,
            ),
            Plot(
                "Refused, by control",
                "cps",
                {"{{code}}": rate("tradewind_rejections_total", "code")},
            ),
        ),
        "Portfolio": (
            Plot("Value", "none", {"{{portfolio}}": now("tradewind_portfolio_equity")}),
            Plot(
                "Loss of the day",
                "percentunit",
                {"{{portfolio}}": now("tradewind_portfolio_daily_loss_fraction")},
            ),
            Plot(
                "Drawdown",
                "percentunit",
                {"{{portfolio}}": now("tradewind_portfolio_drawdown_fraction")},
            ),
            Plot(
                "Value at risk, one day, 95 %",
                "percentunit",
                {"{{portfolio}} {{measure}}": now("tradewind_portfolio_var_fraction")},
            ),
            Plot("Leverage", "none", {"{{portfolio}}": now("tradewind_portfolio_leverage")}),
            Plot(
                "Largest position",
                "percentunit",
                {"{{portfolio}}": now("tradewind_portfolio_concentration")},
            ),
            Plot(
                "State",
                "none",
                {"{{portfolio}}": now("tradewind_portfolio_state")},
                "0 active, 1 reductions only, 2 halted.",
            ),
            Plot(
                "Surprises of the account",
                "none",
                {"{{portfolio}} {{code}}": now("tradewind_risk_alerts_total")},
            ),
            Plot(
                "Approved for more than allowed",
                "none",
                {"{{portfolio}}": now("tradewind_risk_violations_total")},
            ),
        ),
        "Models": (
            Plot(
                "Entropy of regimes",
                "none",
                {"{{partition}}/{{chunk}}": now("tradewind_regime_entropy_bits")},
                "Bits; above 1.5 a row says little, 1.585 is knowing nothing.",
            ),
            Plot(
                "Share of the options",
                "percentunit",
                {"{{option}}": f"avg by (option) ({now('tradewind_option_usage_fraction')})"},
            ),
            Plot("Ticks", "cps", {"{{outcome}}": rate("tradewind_ticks_total", "outcome")}),
        ),
    },
)
