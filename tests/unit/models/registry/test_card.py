"""The card says what the metadata says, and what they do not know."""

from typing import Any

import pytest

from models.errors import NotFitted
from models.registry.card import card

DAY_NS = 86_400 * 10**9


def metadata(**changes: object) -> dict[str, Any]:
    """Give metadata as a fit writes them, changed where asked."""
    found: dict[str, Any] = {
        "timeframe": "1day",
        "pipeline_version": "v1.0.0",
        "pipeline_digest": "9db7",
        "symbols": ["AAA", "BBB"],
        "first_close_ns": 0,
        "last_close_ns": 900 * DAY_NS,
        "seed": 7,
        "fit_version": 4,
        "code": None,
        "stretches": {
            "training": {
                "first_close_ns": 252 * DAY_NS,
                "last_close_ns": 678 * DAY_NS,
                "n_bars": 426,
            }
        },
        "config": {"specialists": {"members": 3, "attended": ["return_1"]}},
        "metrics": {
            "validation": {"rank_ic": 0.0213, "n_rows": 12_345},
            "held_back": {"rank_ic": None, "n_rows": 3, "hit_rate": 0.5},
        },
    }
    return found | changes


def test_card_when_written_then_has_every_part_of_a_card() -> None:
    """Use, data, metrics, limits, settings and lineage stand in this order."""
    text = card(metadata())
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# Model card: 2 symbols, 1day",
        "## Intended use",
        "## Training data",
        "## Metrics by stretch",
        "## Regimes",
        "## Limits",
        "## Settings",
        "## Lineage",
    ]
    assert text.endswith("\n")


def test_card_when_metrics_differ_by_stretch_then_each_has_its_column() -> None:
    """An unknown number is a dash, a count has no decimals, an absent metric is no zero."""
    text = card(metadata())
    assert "| Metric | validation | held back |" in text
    assert "| rank ic | 0.0213 | - |" in text
    assert "| n rows | 12,345 | 3 |" in text
    assert "| hit rate | - | 0.5000 |" in text


def test_card_when_stretches_are_known_then_says_when_each_began() -> None:
    """Bar 252 of a daily history that began with 1970 closes on 10 September."""
    assert (
        "| training | 1970-09-10T00:00:00Z | 1971-11-10T00:00:00Z | 426 | to learn from |"
        in card(metadata())
    )


def test_card_when_the_store_sorted_the_names_then_time_orders_them_again() -> None:
    """Metadata come back from the store with their keys in alphabetical order."""
    row = metadata()["stretches"]["training"]
    names = ("held_back", "training", "validation")
    lines = card(metadata(stretches=dict.fromkeys(names, row))).splitlines()
    shown = [line.split(" | ")[0] for line in lines if line.endswith(" |") and "1970" in line]
    assert shown == ["| training", "| validation", "| held back"]


def test_card_when_lineage_is_incomplete_then_says_so() -> None:
    """What nobody recorded is not made up."""
    text = card(metadata())
    assert "- Code: not recorded" in text
    assert "- Source of the bars: not recorded" in text
    assert "- Digest: not recorded" in text


def test_card_when_others_added_their_entries_then_shows_them() -> None:
    """Code and source come from outside; metadata of an older fit has no stretches."""
    older = metadata(code="abc123", source="sp500 1990-2022")
    del older["stretches"]
    text = card(older, digest="d" * 64)
    assert "- Code: abc123" in text
    assert "- Source of the bars: sp500 1990-2022" in text
    assert f"- Digest: {'d' * 64}" in text
    assert "Stretch" not in text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"outcome": "carried", "why": "names carried from dddd", "agreement_fraction": 0.9871},
            ["- Outcome: carried; names carried from dddd", "- Agreement of names: 0.9871"],
        ),
        (
            {"outcome": "refused", "why": "refit refused", "agreement_fraction": None},
            ["- Outcome: refused; refit refused", "- Agreement of names: -"],
        ),
    ],
)
def test_card_when_regimes_succeed_others_then_says_how_that_went(
    changes: dict[str, Any], expected: list[str]
) -> None:
    """Whoever reads "bull" in it must know whether the name is the one of last month."""
    succession = {
        "n_shared_rows": 93_120,
        "symbols": ["AAA"],
        "first_close_ns": 0,
        "last_close_ns": DAY_NS,
    }
    text = card(metadata(previous="d" * 64, succession=succession | changes))
    assert f"- Earlier models: {'d' * 64}" in text
    assert "- Shared rows: 93,120" in text
    assert "- Fitted on closes: 1970-01-01T00:00:00Z to 1970-01-02T00:00:00Z" in text
    assert set(expected) <= set(text.splitlines())


def test_card_when_metadata_are_not_of_a_fit_then_names_what_lacks() -> None:
    """An empty table would look like a card."""
    broken = metadata()
    del broken["metrics"], broken["seed"]
    with pytest.raises(NotFitted, match="lack seed, metrics: expected those of a fitted"):
        card(broken)


def test_card_when_the_set_has_learned_then_its_lineage_says_from_what() -> None:
    """Start, base and bars of the last update stand beside the fit's own."""
    learned = {"start": "s1", "base": "b1", "origin": {"kind": "journal"}}
    text = card(metadata(learned=learned))
    assert "- Updated from: s1\n- Held to the fit of: b1\n- Bars of the update: journal" in text
    assert "Updated from" not in card(metadata())
