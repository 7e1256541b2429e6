"""The section on the cache of features, for the validation of the data pipeline."""

from tests.evidence.measurement import Result
from tests.evidence.validation.document import table

HEADING = "## The feature cache"


def section(latency: Result, hits: Result) -> str:
    """Write what `features-latency` and `cache-hits` found."""
    p, h = latency.parts, hits.parts
    rows = [
        ["features over HTTP", p["p50_ms"], latency.value, p["p99_ms"]],
        ["raw GET of the same Redis", p["redis_p50_ms"], p["redis_p95_ms"], "-"],
        ["echo by the same server", "-", p["echo_p95_ms"], "-"],
    ]
    reads = [
        [level, f"{h.get(f'{level}_hit', 0):,}", f"{h.get(f'{level}_miss', 0):,}"]
        for level in ("process", "redis")
    ]
    return f"""\
{HEADING}

Two levels, this process and Redis; a value carries the close of its bar and is served for no other.
Rows are put there when their bar is decided, those of 5 minutes and an hour when theirs closes.

`tradewind evidence features-latency` ({"holds" if latency.holds else "**missed**"}): {latency.n:,}
requests at 500/s with 15 tokens, open loop; the P95 is {latency.ratio} times that of a raw GET and
{p["echo_ratio"]} times the echo's.

{table(["Way", "P50, ms", "P95, ms", "P99, ms"], [[str(cell) for cell in row] for row in rows])}

`tradewind evidence cache-hits` ({"holds" if hits.holds else "**missed**"}): 200 requests a second
from 15 callers, four in five about a fifth of 50 symbols, one in ten about bars of 5 minutes, while
{h["bars_closed_meanwhile"]} bars of every symbol close. {hits.value:.2%} of {hits.n:,} reads were
answered by one of the levels, and {h["stale_answers"]} of {h["answers_checked"]} answers that were
compared with the last decided bar were older than it.

{table(["Level", "Hits", "Misses"], reads)}"""
