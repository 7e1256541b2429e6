"""What was used is cut into closes, and goes between two marks."""

import pytest

from tests.evidence.chain_latency import Took
from tests.evidence.sampler import BUCKET_NS, Used
from tests.evidence.validation.budget import BEGINS, ENDS, PARTS, closes, put, text

MEANT_NS = 1_000 * BUCKET_NS


def took(last_ms: float) -> Took:
    """Return one close."""
    return Took([last_ms], [last_ms], 1, [MEANT_NS])


def test_closes_when_used_before_until_and_after_then_each_is_counted_once() -> None:
    """5 buckets of 2 ms are 10 ms; what is used before the close belongs to nobody."""
    buckets = [
        (999, "steps", 7_000_000),
        (1_000, "steps", 2_000_000),
        (1_004, "loop", 1_000_000),
        (1_005, "changelog", 3_000_000),
        (1_300, "steps", 9_000_000),
    ]
    (close,) = closes(Used(buckets, []), took(5 * BUCKET_NS / 1e6))
    assert close.until_ms == {"steps": 2.0, "loop": 1.0}
    assert close.after_ms == {"changelog": 3.0}


def test_text_when_written_then_every_part_has_a_row_and_shares_add_up() -> None:
    """3 of 4 ms are 75 %."""
    buckets = [(1_000, "steps", 3_000_000), (1_001, "broker", 1_000_000)]
    found = closes(Used(buckets, []), took(20.0))
    here = {"system": "Linux", "cores": 2, "python": "3.11", "load_1min": 0.1}
    written = text(found, [20.0], here)
    assert all(f"| {part} |" in written for part in PARTS)
    assert "| 3.0 | 75 % | 0.0 |" in written
    assert "| all |  | 4.0 | 100 % | 0.0 |" in written


def test_put_when_the_marks_are_there_then_only_what_is_between_them_changes() -> None:
    """The rest of the document belongs to people."""
    document = f"before\n\n{BEGINS}\n\nold\n\n{ENDS}\n\nbehind\n"
    assert put(document, "new") == document.replace("old", "new")
    assert put(put(document, "new"), "new") == put(document, "new")
    with pytest.raises(ValueError, match="0 places"):
        put("before\n", "new")
