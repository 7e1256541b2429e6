"""Models that learning took back: who descends from them, and which rollout must go back."""

from pathlib import Path

import pytest

from models.rollout.stages import STAGES, Act, Rollout, start, step
from streams.model_updates import ModelUpdate
from streams.timestamps import format_ns
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tables.taken_back import TakenBack
from tests.builders import models

DAY = 86_400 * 10**9
TAKEN_NS = 20_000 * DAY


class Family:
    """A fit, and three model sets of which each learned from the one before."""

    def __init__(self, root: Path) -> None:
        artifacts, start_of = Artifacts(root), ""
        self.digests: list[str] = []
        for seed in range(4):
            made = models(seed + 1)
            learned = {"learned": {"start": start_of}} if start_of else {}
            start_of = artifacts.put_models(made._replace(metadata={**made.metadata, **learned}))
            self.digests.append(start_of)
        self.root = root
        self.taken = TakenBack(Epochs(artifacts))

    def take_back(self, number: int, at_ns: int = TAKEN_NS, outcome: str = "rolled_back") -> None:
        """Let learning say that one of them did not stand."""
        self.taken.learn(
            ModelUpdate(
                timestamp=format_ns(at_ns - DAY),
                job_id="j",
                model_id="m",
                update_type="rollback",
                outcome=outcome,  # type: ignore[arg-type]
                before=self.digests[number],
                after=self.digests[number - 1],
            ),
            at_ns,
        )

    def rollout(self, number: int, at_ns: int = 0, n_advances: int = 0) -> Rollout:
        """Return a rollout of one of them against the one before."""
        pair = (self.digests[number - 1], self.digests[number])
        made = start(f"r{number}", *pair, Act("start", at_ns, "me"))
        for _ in range(n_advances):
            made = step(made, Act("advance", at_ns + 1, "me", reasons_against=()))
        return made


@pytest.fixture
def family(tmp_path: Path) -> Family:
    """Return models that learned from each other."""
    return Family(tmp_path)


def test_has_when_models_were_taken_back_then_those_that_learned_from_them_were(
    family: Family,
) -> None:
    """Neither what they began with, nor anybody if an update was only refused."""
    family.take_back(2, outcome="refused")
    assert not family.taken.is_any
    family.take_back(2)
    family.take_back(2)
    assert [family.taken.has(each, None) for each in family.digests] == [False, False, True, True]


def test_has_when_it_is_told_again_then_is_as_old_as_at_first(family: Family) -> None:
    """A record may come twice; who began a rollout between knew it all the same."""
    family.take_back(2)
    between = family.rollout(2, at_ns=TAKEN_NS + 1)
    family.take_back(2, TAKEN_NS + DAY)
    assert not family.taken.has(family.digests[2], between)


def test_has_when_models_between_are_gone_then_what_is_known_is_said(family: Family) -> None:
    """What is deleted is asked no more; its own name still counts."""
    family.take_back(1)
    (family.root / f"{family.digests[2]}.safetensors").unlink()
    assert not family.taken.has(family.digests[3], None)
    family.take_back(2)
    assert family.taken.has(family.digests[3], None)


def test_way_back_when_a_rollout_runs_them_then_is_that_one(family: Family) -> None:
    """In shadow, in a canary and for all; whoever began it after that wants it so."""
    for n_advances, decides in ((0, False), (1, True), (3, True)):
        running = family.rollout(3, n_advances=n_advances)
        assert family.taken.way_back([running], family.digests[2], TAKEN_NS) is None
        family.take_back(3)
        assert family.taken.way_back([running], family.digests[2], TAKEN_NS) == running
        assert family.taken.decides([running], family.digests[2]) is decides
        again = family.rollout(3, at_ns=TAKEN_NS + 1, n_advances=n_advances)
        assert family.taken.way_back([again], family.digests[2], TAKEN_NS) is None
        assert not family.taken.decides([again], family.digests[2])
        family.taken = TakenBack(Epochs(Artifacts(family.root)))


def test_way_back_when_an_epoch_decides_with_them_then_is_the_rollout_that_led_there(
    family: Family,
) -> None:
    """Over the one that runs first, step by step, as long as it can be undone."""
    done = family.rollout(2, at_ns=TAKEN_NS - DAY, n_advances=len(STAGES))
    running = family.rollout(3, at_ns=TAKEN_NS - DAY + 5)
    models_now = family.digests[2]
    assert family.taken.way_back([done, running], models_now, TAKEN_NS) is None
    family.take_back(2)
    assert family.taken.decides([done, running], models_now)
    assert family.taken.way_back([done, running], models_now, TAKEN_NS) == running
    assert family.taken.way_back([done], models_now, TAKEN_NS) == done
    # Where nothing leads back, somebody must be told.
    for others, now_ns in (([done], TAKEN_NS + 28 * DAY), ([], TAKEN_NS)):
        assert family.taken.way_back(others, models_now, now_ns) is None
        assert family.taken.decides(others, models_now)
    back = step(done, Act("rollback", TAKEN_NS, "automatic"))
    assert family.taken.way_back([back], family.digests[1], TAKEN_NS) is None
    assert not family.taken.decides([back], family.digests[1])


def test_way_back_when_only_the_champion_was_taken_back_then_its_own_rollout_decides(
    family: Family,
) -> None:
    """Without a way from the champion, a challenger of another line is not punished for it."""
    other = family.rollout(3)._replace(champion=family.digests[2], challenger=family.digests[0])
    family.take_back(2)
    assert family.taken.way_back([other], family.digests[2], TAKEN_NS) is None
    assert family.taken.decides([other], family.digests[2])
