"""Which decisions are made again: those that can go wrong, and the same ones each time."""

from collections import Counter

import msgspec
import pytest

from streams.records import Decision
from tests.evidence.recompute_identical import draw
from tests.unit.tables.views.played import TOO_MUCH, decision, refused

N_DRAWN = 30


def kind_of(said: Decision) -> str:
    """Return what of a decision the draw goes by."""
    if not said.approved:
        return "refused"
    return "hold" if said.action == "HOLD" else "order"


@pytest.mark.parametrize(
    ("n_refused", "n_orders", "n_holds", "expected"),
    [
        (40, 40, 900, {"refused": 10, "order": 10, "hold": 10}),
        (2, 40, 900, {"refused": 2, "order": 10, "hold": 18}),
        (40, 40, 4, {"refused": 16, "order": 10, "hold": 4}),
        (3, 2, 1, {"refused": 3, "order": 2, "hold": 1}),
    ],
)
def test_draw_when_kinds_are_rare_or_not_then_takes_a_third_of_each_that_decides(
    n_refused: int, n_orders: int, n_holds: int, expected: dict[str, int]
) -> None:
    """Mostly nothing is asked for; what is refused or ordered has more that could differ."""
    n_all = n_refused + n_orders + n_holds
    made = [refused(n, TOO_MUCH) for n in range(n_refused)]
    made += [decision(n) for n in range(n_refused, n_refused + n_orders)]
    made += [decision(n, action="HOLD") for n in range(n_refused + n_orders, n_all)]
    by_id = {each.decision_id: each for each in made}
    assert len(by_id) == n_all
    bytes_of = {id_: msgspec.json.encode(each) for id_, each in by_id.items()}
    drawn = draw(bytes_of, N_DRAWN)
    assert Counter(kind_of(by_id[id_]) for id_ in drawn) == expected
    assert len(set(drawn)) == len(drawn)
    assert drawn == draw(dict(reversed(bytes_of.items())), N_DRAWN)
