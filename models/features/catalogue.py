"""The 60 features, in the order of their columns: what each is, needs and means.

All are free of the price's and the volume's scale. Units: `log` natural logarithm of a price ratio;
`fraction` of the price or of bars; `points` 0..100 (Williams %R -100..0, CCI unbounded); `percent`
change in hundredths; `sigma` multiples of the standard deviation; `ratio` pure number.
"""

import hashlib
from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the feature matrix.

    Parameters
    ----------
    name
        Unique; the longest window in bars ends it where there is one.
    family
        The module that computes it.
    inputs
        The columns of `Bars` it reads.
    lookback_bars
        The longest window or smoothing period in it, in bars of the symbol.
    warmup_bars
        The column is NaN before the symbol's bar of this number (the first is 1), finite from it.
    unit
        See the module's docstring.
    nan_policy
        What stands where the formula has no answer (0 / 0); a warmed-up feature is never NaN.
    reference
        Where it is defined, with the year; `TA-Lib` where it equals that library's function.
    """

    name: str
    family: str
    inputs: tuple[str, ...]
    lookback_bars: int
    warmup_bars: int
    unit: str
    nan_policy: str
    reference: str


_Row = tuple[str, str, int, int, str, str, str]

_HLC = "high low close"
_HLCV = "high low close volume"
_FLAT_0 = "0 if constant"
_STILL_0 = "0 without movement"
_STILL_50 = "50 without movement"
_DRY_0 = "0 without volume"
_DEFINED = "always defined"

_RETURNS: tuple[_Row, ...] = (
    ("return_1", "close", 1, 2, "log", _DEFINED, "definition"),
    ("return_2", "close", 2, 3, "log", _DEFINED, "definition"),
    ("return_3", "close", 3, 4, "log", _DEFINED, "definition"),
    ("return_5", "close", 5, 6, "log", _DEFINED, "definition"),
    ("return_10", "close", 10, 11, "log", _DEFINED, "definition"),
    ("return_21", "close", 21, 22, "log", _DEFINED, "definition"),
    ("return_63", "close", 63, 64, "log", _DEFINED, "definition"),
    ("return_126", "close", 126, 127, "log", _DEFINED, "definition"),
    ("return_252", "close", 252, 253, "log", _DEFINED, "definition"),
    ("overnight_gap", "open close", 1, 2, "log", _DEFINED, "ln(open / close before)"),
    ("bar_range", "high low", 1, 1, "log", _DEFINED, "ln(high / low)"),
)
_TREND: tuple[_Row, ...] = (
    ("sma_distance_20", "close", 20, 20, "fraction", _DEFINED, "TA-Lib SMA: close / SMA - 1"),
    ("sma_distance_50", "close", 50, 50, "fraction", _DEFINED, "TA-Lib SMA: close / SMA - 1"),
    ("sma_distance_100", "close", 100, 100, "fraction", _DEFINED, "TA-Lib SMA: close / SMA - 1"),
    ("sma_distance_200", "close", 200, 200, "fraction", _DEFINED, "TA-Lib SMA: close / SMA - 1"),
    ("ema_distance_5", "close", 5, 5, "fraction", _DEFINED, "TA-Lib EMA: close / EMA - 1"),
    ("ema_distance_10", "close", 10, 10, "fraction", _DEFINED, "TA-Lib EMA: close / EMA - 1"),
    ("macd_12_26", "close", 26, 34, "fraction", _DEFINED, "Appel 1979, TA-Lib MACD / close"),
    ("macd_histogram_9", "close", 26, 34, "fraction", _DEFINED, "Aspray 1986, TA-Lib MACD / close"),
    ("adx_14", "high low", 14, 28, "points", _STILL_0, "Wilder 1978, TA-Lib ADX"),
    ("plus_di_14", _HLC, 14, 15, "points", _STILL_0, "Wilder 1978, TA-Lib PLUS_DI"),
    ("minus_di_14", _HLC, 14, 15, "points", _STILL_0, "Wilder 1978, TA-Lib MINUS_DI"),
    ("aroon_up_14", "high", 14, 15, "points", "100 if constant", "Chande 1995, TA-Lib AROON"),
    ("aroon_down_14", "low", 14, 15, "points", "100 if constant", "Chande 1995, TA-Lib AROON"),
    ("slope_20", "close", 20, 20, "fraction", _DEFINED, "TA-Lib LINEARREG_SLOPE / close"),
    ("trix_15", "close", 15, 44, "percent", _DEFINED, "Hutson 1983, TA-Lib TRIX"),
)
_MOMENTUM: tuple[_Row, ...] = (
    ("rsi_7", "close", 7, 8, "points", _STILL_50, "Wilder 1978, TA-Lib RSI"),
    ("rsi_14", "close", 14, 15, "points", _STILL_50, "Wilder 1978, TA-Lib RSI"),
    ("rsi_21", "close", 21, 22, "points", _STILL_50, "Wilder 1978, TA-Lib RSI"),
    ("stochastic_k_14", _HLC, 14, 18, "points", _STILL_50, "Lane 1984, TA-Lib STOCH slow K"),
    ("stochastic_d_14", _HLC, 14, 18, "points", _STILL_50, "Lane 1984, TA-Lib STOCH slow D"),
    (
        "williams_r_14",
        _HLC,
        14,
        14,
        "points",
        "-50 without movement",
        "Williams 1973, TA-Lib WILLR",
    ),
    ("cci_20", _HLC, 20, 20, "points", _FLAT_0, "Lambert 1980, TA-Lib CCI"),
    ("ultimate_28", _HLC, 28, 29, "points", _STILL_50, "Williams 1985, TA-Lib ULTOSC"),
    ("efficiency_21", "close", 21, 22, "fraction", _STILL_0, "Kaufman 1995"),
)
_VOLATILITY: tuple[_Row, ...] = (
    ("atr_14", _HLC, 14, 15, "fraction", _DEFINED, "Wilder 1978, TA-Lib ATR / close"),
    ("volatility_5", "close", 5, 6, "log", _DEFINED, "sample deviation of return_1"),
    ("volatility_21", "close", 21, 22, "log", _DEFINED, "sample deviation of return_1"),
    ("volatility_63", "close", 63, 64, "log", _DEFINED, "sample deviation of return_1"),
    ("volatility_ratio_5_63", "close", 63, 64, "ratio", "1 if constant", "definition"),
    ("downside_volatility_21", "close", 21, 22, "log", _DEFINED, "Sortino 1991, target 0"),
    ("parkinson_21", "high low", 21, 21, "log", _DEFINED, "Parkinson 1980"),
    ("garman_klass_21", "open high low close", 21, 21, "log", _DEFINED, "Garman and Klass 1980"),
    ("bollinger_width_20", "close", 20, 20, "fraction", _DEFINED, "Bollinger 2001, TA-Lib BBANDS"),
    ("bollinger_place_20", "close", 20, 20, "ratio", "0.5 if constant", "the same: percent b"),
)
_VOLUME: tuple[_Row, ...] = (
    ("obv_score_21", "close volume", 21, 21, "sigma", _FLAT_0, "Granville 1963, TA-Lib OBV"),
    ("volume_score_21", "volume", 21, 21, "sigma", _FLAT_0, "definition"),
    ("volume_ratio_5_63", "volume", 63, 63, "ratio", _DRY_0, "definition"),
    ("money_flow_21", _HLCV, 21, 21, "ratio", _DRY_0, "Chaikin 1982"),
    ("mfi_14", _HLCV, 14, 15, "points", "50 without flow", "Quong and Soudack 1989, TA-Lib MFI"),
    ("vwap_distance", "close vwap", 1, 1, "fraction", _DEFINED, "close / vwap of the bar - 1"),
    ("volume_return_correlation_21", "close volume", 21, 22, "ratio", _FLAT_0, "Pearson 1896"),
)
_DISTRIBUTION: tuple[_Row, ...] = (
    ("skew_63", "close", 63, 64, "ratio", _FLAT_0, "Fisher 1930, g1 of return_1"),
    ("kurtosis_63", "close", 63, 64, "ratio", _FLAT_0, "Fisher 1930, g2 of return_1"),
    ("drawdown_63", "close", 63, 63, "fraction", _DEFINED, "deepest fall from an earlier close"),
    ("high_distance_252", "high close", 252, 252, "fraction", _DEFINED, "close / highest high - 1"),
    ("low_distance_252", "low close", 252, 252, "fraction", _DEFINED, "close / lowest low - 1"),
    ("up_share_21", "close", 21, 22, "fraction", _DEFINED, "part of return_1 above 0"),
    ("autocorrelation_21", "close", 21, 22, "ratio", _FLAT_0, "Box and Jenkins 1970, lag 1"),
    ("return_score_21", "close", 21, 22, "sigma", _FLAT_0, "definition"),
)


def _declared(family: str, rows: tuple[_Row, ...]) -> tuple[Feature, ...]:
    """Make a family's rows features."""
    return tuple(Feature(row[0], family, tuple(row[1].split()), *row[2:]) for row in rows)


CATALOGUE: tuple[Feature, ...] = (
    *_declared("returns", _RETURNS),
    *_declared("trend", _TREND),
    *_declared("momentum", _MOMENTUM),
    *_declared("volatility", _VOLATILITY),
    *_declared("volume", _VOLUME),
    *_declared("distribution", _DISTRIBUTION),
)
NAMES: tuple[str, ...] = tuple(feature.name for feature in CATALOGUE)
WARMUP_BARS: int = max(feature.warmup_bars for feature in CATALOGUE)

# Changes with the code: whoever changes what a column holds changes this too.
PIPELINE_VERSION = "v1.0.0"


def pipeline_digest(
    catalogue: tuple[Feature, ...] = CATALOGUE, version: str = PIPELINE_VERSION
) -> str:
    """Give the sha256 (hex) of the version and every declaration, in column order.

    Two matrices of the same digest have the same columns with the same meaning.

    >>> pipeline_digest() == pipeline_digest(CATALOGUE[::-1])
    False
    """
    lines = (version, *(repr(astuple(feature)) for feature in catalogue))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
