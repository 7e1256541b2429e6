"""Which runs may go: never one that must stay, always one that nothing keeps."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.registry.retention import Ranking, Run, may_go

DAY_MS = 86_400_000
NOW_MS = 1_000 * DAY_MS
RANKINGS = {"up": Ranking("ic", 1.0), "down": Ranking("loss", -1.0)}

RUNS = st.lists(
    st.builds(
        Run,
        run_id=st.uuids().map(str),
        experiment=st.sampled_from(["up", "down", "unranked"]),
        # Around the border of 30 days, to the millisecond.
        seen_ms=st.sampled_from([0, -1, 1, -10 * DAY_MS, 29 * DAY_MS]).map(
            lambda shift: NOW_MS - 30 * DAY_MS + shift
        ),
        value=st.none() | st.sampled_from([math.nan, -math.inf, math.inf, 0.0, 1.0, 2.0, 3.0]),
        is_kept=st.booleans(),
        is_deleted=st.booleans(),
    ),
    max_size=40,
    unique_by=lambda run: run.run_id,
)


def old(number: int, value: float | None, experiment: str = "up") -> Run:
    """Give a run of long ago that nothing protects."""
    return Run(f"r{number:02d}", experiment, number, value, is_kept=False, is_deleted=False)


def better(run: Run, than: Run) -> bool:
    """Tell whether a run beats another of its experiment, by the words of the rule."""
    one, other = run.value, than.value
    assert one is not None
    assert other is not None
    if one != other:
        return one > other if run.experiment == "up" else one < other
    return (run.seen_ms, [-ord(c) for c in run.run_id]) > (
        than.seen_ms,
        [-ord(c) for c in than.run_id],
    )


def must_stay(run: Run, runs: list[Run], best: int) -> bool:
    """Say by counting, without sorting, whether anything keeps a run."""
    if run.is_kept or run.seen_ms >= NOW_MS - 30 * DAY_MS:
        return True
    if run.is_deleted:
        return False
    if run.experiment not in RANKINGS:
        return True
    if run.value is None or math.isnan(run.value):
        return False
    rivals = [
        other
        for other in runs
        if other.experiment == run.experiment
        and not other.is_deleted
        and other.value is not None
        and not math.isnan(other.value)
    ]
    return sum(better(other, run) for other in rivals) < best


@given(runs=RUNS, best=st.integers(0, 5))
def test_may_go_when_any_runs_are_given_then_exactly_those_that_nothing_keeps(
    runs: list[Run], best: int
) -> None:
    """Both ways: nothing goes that must stay, and nothing stays that may go."""
    going = {run.run_id for run in may_go(runs, RANKINGS, NOW_MS, best=best)}
    assert going == {run.run_id for run in runs if not must_stay(run, runs, best)}


@given(runs=RUNS, best=st.integers(0, 5), data=st.data())
def test_may_go_when_asked_again_after_it_then_nothing_is_left_to_go(
    runs: list[Run], best: int, data: st.DataObject
) -> None:
    """Twice is once, and the order in which runs are listed says nothing."""
    first = may_go(runs, RANKINGS, NOW_MS, best=best)
    assert may_go(data.draw(st.permutations(runs)), RANKINGS, NOW_MS, best=best) == first
    rest = [run for run in runs if run not in first]
    assert may_go(rest, RANKINGS, NOW_MS, best=best) == []


def test_may_go_when_fifteen_are_old_then_the_ten_best_stay() -> None:
    """The customer's rule: the best 10 of an experiment, and 30 days."""
    runs = [old(n, float(n)) for n in range(15)]
    assert [run.run_id for run in may_go(runs, RANKINGS, NOW_MS)] == [f"r{n:02d}" for n in range(5)]
    down = [run._replace(experiment="down") for run in runs]
    assert [run.run_id for run in may_go(down, RANKINGS, NOW_MS)] == [
        f"r{n:02d}" for n in range(10, 15)
    ]


def test_may_go_when_a_run_has_no_value_then_it_takes_no_place_of_the_best() -> None:
    """A failed run neither stays for ever nor pushes a good one out."""
    runs = [old(1, None), old(2, math.nan), *(old(n, 1.0) for n in range(3, 13))]
    assert [run.run_id for run in may_go(runs, RANKINGS, NOW_MS)] == ["r01", "r02"]


def test_may_go_when_a_value_is_the_worst_there_is_then_it_beats_none() -> None:
    """An infinite loss is a result; no loss is none."""
    runs = [*(old(n, None) for n in range(10, 20)), old(1, -math.inf)]
    assert "r01" not in {run.run_id for run in may_go(runs, RANKINGS, NOW_MS)}


@pytest.mark.parametrize("text", ["", "max", "max ", "best ic", "held_back.rank_ic", "MAX ic"])
def test_ranking_when_it_cannot_be_read_then_is_none(text: str) -> None:
    """A tag with a slip of the pen deletes nothing."""
    assert Ranking.of(text) is None


def test_ranking_when_a_name_has_spaces_then_it_is_all_of_it() -> None:
    """MLflow's metrics may be called with spaces."""
    assert Ranking.of("max validation score") == Ranking("validation score", 1.0)
