"""Write DATA_PIPELINE_VALIDATION.md: ``python -m tests.evidence.validation.features``.

About ten minutes. With ``TRADEWIND_DATA`` real bars with volume take part.
"""

from collections import Counter

from models.features.catalogue import (
    CATALOGUE,
    PIPELINE_VERSION,
    WARMUP_BARS,
    pipeline_digest,
)
from tests.evidence.cache_hits import CACHE_HITS
from tests.evidence.feature_disk import FEATURE_DISK
from tests.evidence.feature_lookahead import FEATURE_LOOKAHEAD
from tests.evidence.feature_parity import FEATURE_PARITY
from tests.evidence.feature_speed import FEATURE_SPEED, N_SYMBOLS
from tests.evidence.inference_row import INFERENCE_ROW
from tests.evidence.measurement import Result
from tests.evidence.serving import FEATURES_LATENCY
from tests.evidence.train_speedup import TRAIN_SPEEDUP
from tests.evidence.validation import cache, document
from tests.evidence.validation.document import table

COMMAND = "python -m tests.evidence.validation.features"
NAME = "DATA_PIPELINE_VALIDATION.md"

_DEFINITIONS = """\
## Definitions

- **Parity**: a history folded in one go, against the same bars taken one by one by two
  partitions whose state goes through the bytes of the changelog (`streams.codec`) at every
  restart, two of them in the warm-up. Values are compared bit for bit, NaN included; only
  finite ones are counted.
- **Lookahead**: the history is cut after every bar, and every cut history is computed by
  itself. A feature leaks if any of its values in any cut history differs, in any bit, from what
  the whole history gives there. A check that cannot fail proves nothing, so three leaks are
  planted and must be found.
- **Speed**: symbol-bars per second of all 60 features on one core, after warming up. Peers take
  turns with us in one run and their columns are checked equal first (largest difference
  relative to the column's size at most 1e-9). A ratio per value divides by the columns that
  each computes; a ratio per bar does not.
- **Disk**: the bytes of a state after a year of bars, as the changelog gets it every 64 slices and
  without counting on compaction, and of the slices that their topic keeps.
- **Training input**: bars by the live fold and features by the pipeline, computed from the tape,
  against the same read from the store of prepared histories (`tables/stores/feature_store.py`), in
  turns and equal bit for bit. Fitting follows either; the ratio of whole runs says what is left."""

_LIMITS = """\
## What this does not show

- Without `TRADEWIND_DATA` the bars are real closes with a simulated path inside each day, and
  no volume: the volume features are then neutral by definition.
- Parity and lookahead are properties of the code, shown on these bars; the laws behind them are
  tested for rows in any order and company in `tests/unit/models/features/test_pipeline.py`.
- Recomputing windows loses what lies before the window: TA-Lib's smoothed averages over 300
  bars are not exactly those of the whole history. Only speed is taken from the windows;
  equality is checked on the whole series.
- talipp is pure Python and made for one symbol; a pipeline that takes many symbols at once
  gains with their number."""


def main() -> None:
    """Measure everything and write the document."""
    results = document.run(
        (
            FEATURE_PARITY,
            FEATURE_LOOKAHEAD,
            FEATURE_SPEED,
            INFERENCE_ROW,
            FEATURE_DISK,
            TRAIN_SPEEDUP,
            FEATURES_LATENCY,
            CACHE_HITS,
        )
    )
    parity, lookahead, speed, row, disk, training, latency, hits = (
        result for _, result in results.values()
    )
    sections = [
        "# Data pipeline: validation of the features",
        _purpose(),
        "## Verdict\n\n" + document.verdicts(results),
        _DEFINITIONS,
        _parity(parity),
        _lookahead(lookahead),
        _speed(speed),
        _serving(row),
        _disk(disk),
        _training(training),
        cache.section(latency, hits),
        _LIMITS,
    ]
    path = document.write(NAME, COMMAND, sections)
    print(path.relative_to(document.FOLDER.parents[1]))  # noqa: T201  a command speaks


def _purpose() -> str:
    families = Counter(feature.family for feature in CATALOGUE)
    listed = ", ".join(f"{n} {family}" for family, n in families.items())
    return (
        f"One pipeline, live, in training and in a replay: {len(CATALOGUE)} features ({listed}), "
        f"version {PIPELINE_VERSION}, digest `{pipeline_digest()[:16]}`, complete from a symbol's "
        f"bar {WARMUP_BARS} on. A figure that misses its promise is printed as it is."
    )


def _parity(result: Result) -> str:
    return (
        f"## Parity\n\n{result.n:,} finite values, {result.parts['restarts']} restarts, "
        f"{result.value:g} mismatches, on {'; '.join(result.parts['tapes'])}."
    )


def _lookahead(result: Result) -> str:
    rows = [[leak, f"{n} of 60"] for leak, n in result.parts["features_convicted"].items()]
    return (
        f"## Lookahead\n\n{result.parts['cuts']:,} cuts of one series "
        f"({result.parts['series']}), {result.n:,} values compared: {result.value:g} of 60 "
        f"features leak. Planted leaks caught: {result.parts['planted_caught']}.\n\n"
        + table(["Planted leak", "Features convicted"], rows)
    )


def _speed(result: Result) -> str:
    parts = result.parts
    rows = [[f"Tradewind, {n:,} symbols", "60", f"{parts[f'ours_{n}_per_s']:,}"] for n in N_SYMBOLS]
    rows += [
        ["TA-Lib, windows of 300 bars", f"{parts['talib_columns']}", f"{parts['talib_per_s']:,}"],
        ["talipp, one by one", f"{parts['talipp_columns']}", f"{parts['talipp_per_s']:,}"],
    ]
    ratios = [
        [
            f"{n:,} symbols against {name}",
            f"{parts[f'{n}_vs_{peer}_per_value']:g}",
            f"{parts[f'{n}_vs_{peer}_per_bar']:g}",
        ]
        for n in N_SYMBOLS
        for peer, name in (("talib", "TA-Lib"), ("talipp", "talipp"))
    ]
    return (
        "## Speed\n\n"
        + table(["Pipeline", "Columns", "Symbol-bars/s on one core"], rows)
        + "\n\n"
        + table(["Times as fast", "Per value", "Per bar"], ratios)
        + f"\n\nLargest relative difference from TA-Lib: {parts['talib_worst_difference']:.1e}."
    )


def _disk(result: Result) -> str:
    parts = result.parts
    return (
        f"## Disk\n\n{result.value:g} MB for a day of {result.n} symbols and 1-minute bars: "
        f"{parts['changelog_mb_per_day']:g} MB of snapshots "
        f"({parts['snapshot_bytes_per_symbol']:,} bytes a symbol, every 64 bars) and "
        f"{parts['slices_mb_kept']:g} MB of slices ({parts['slice_bytes_per_symbol']:,} bytes a "
        "symbol and bar, kept for 7 hours at most)."
    )


def _training(result: Result) -> str:
    parts = result.parts
    return (
        f"## Training input\n\nBars and features of {parts['n_rows']:,} symbol-bars: "
        f"{parts['recomputed_s']:g} s from the tape, {parts['read_s']:g} s from the store; "
        f"{result.value:g} times as fast in the worst of {result.n} rounds, "
        f"bits equal: {'yes' if parts['bits_equal'] else '**no**'}. Fitting takes "
        f"{parts['fit_s']:g} s in either case, so a whole training run is "
        f"{parts['whole_run_ratio']:g} times as fast."
    )


def _serving(result: Result) -> str:
    parts = result.parts
    rows = [
        [stage, f"{parts[f'{stage}_p50_ms']:.3f}", f"{parts[f'{stage}_p95_ms']:.3f}"]
        for stage in ("features", "regime", "specialists")
    ]
    rows.append(["together", f"{parts['p50_ms']:.3f}", f"{result.value:.3f}"])
    on_processor = [f"{parts[f'processor_{share}_ms']:.3f}" for share in ("p50", "p95")]
    rows.append(["together, time on the processor", *on_processor])
    return f"""\
## One row

{table(["Stage", "P50, ms", "P95, ms"], rows)}

{result.n:,} rows one by one, the state that of {parts["symbols_in_state"]} symbols, one core,
beside whatever else the machine did. The same {parts["networks"]} networks in torch, row by row:
{parts["torch_p50_ms"]:.3f} ms P50, {result.ratio:g} times as long."""


if __name__ == "__main__":
    main()
