"""Laws of a rollout over the whole chain: shadow is inert, and a decision names who decided."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.rollout.assignment import challenged
from streams.epochs import Challenge, Epoch, Portfolio
from streams.records import Decision, PortfolioSnapshot
from tables.recheck import Broken, Recheck
from tests.builders import FREE, MIDNIGHT, MINUTE, epoch, epochs_in, notice
from tests.contract.test_steps import N_BARS, SYMBOLS, run
from tests.worlds import Chain

LIMITS = msgspec.structs.replace(FREE, max_asset_fraction=0.5, correlation_bars=4, var_bars=4)
FROM_BAR = 280
N_PARTITIONS = 3


def document(rollout: Challenge | None = None, n_partitions: int = 1) -> Epoch:
    """Build the epoch of the runs."""
    portfolios = (Portfolio(id="main", limits=LIMITS),)
    return epoch(SYMBOLS, portfolios=portfolios, rollout=rollout, n_partitions=n_partitions)


def played(root: Path, *documents: Epoch) -> Chain:
    """Play all bars; the second document decides from bar ``FROM_BAR`` on."""
    first, *later = documents

    def change(chain: Chain, minute: int) -> None:
        if later and minute == FROM_BAR:
            from_ns = MIDNIGHT + (FROM_BAR - 1) * MINUTE
            chain.say(notice(chain.later[0], 0, number=2, from_close_ns=from_ns))

    return run(root, first, *later, before=change)


def books(chain: Chain) -> list[tuple[str, bytes | None, bytes]]:
    """Return all that risk said, in order."""
    told = ("trading-decisions", "executions", "portfolio-snapshots")
    return [(s.topic, s.key, s.value) for s in chain.published if s.topic in told]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of artefacts."""
    return tmp_path_factory.mktemp("rollout")


def test_decisions_when_a_shadow_runs_then_are_the_same_bytes(root: Path) -> None:
    """Decisions, executions and accounts are equal, however many partitions there are."""
    same = played(root, document(), document())
    shadow = Challenge(id="r1", challenger="")
    found = played(root, *(document(each, N_PARTITIONS) for each in (None, shadow)))
    assert found.letters == []
    assert books(found) == books(same)
    told = [sent for sent in found.published if sent.topic == "shadow-intents"]
    assert len(told) == N_PARTITIONS * (N_BARS - FROM_BAR + 1)


def test_decisions_when_a_canary_runs_then_each_names_its_models(root: Path) -> None:
    """From one bar on, the assigned symbols are decided by the challenger, and say so.

    A second look finds no order beyond its limits, and all of those that tighter ones would forbid.
    """
    canary = Challenge(id="r1", challenger="", share=0.5)
    chain = played(root, document(), document(canary))
    _, (plain, with_rollout) = epochs_in(root, document(), document(canary))
    champion = chain.epochs.load(plain).epoch.models
    rollout = chain.epochs.load(with_rollout).epoch.rollout
    assert rollout is not None
    assigned = challenged("r1", "main", SYMBOLS, 0.5)
    assert 0 < len(assigned) < len(SYMBOLS)
    decisions: list[dict[str, Any]] = [json.loads(v) for v in chain.values("trading-decisions")]
    for decision in decisions:
        is_after = decision["epoch"] == 2
        is_assigned = is_after and decision["symbol"] in assigned
        assert decision["digests"]["models"] == (rollout.challenger if is_assigned else champion)
    assert {d["epoch"] for d in decisions} == {1, 2}
    assert rechecked(chain) == ([], 0)
    broken, _ = rechecked(chain, max_asset_fraction=0.01)
    assert {each.limits for each in broken} == {("MAX_ASSET_FRACTION",)}


def rechecked(chain: Chain, **changed: float) -> tuple[list[Broken], int]:
    """Hold all orders of a run against its accounts, as if some limits had been others."""
    recheck, found = Recheck(), []
    for sent in chain.published:
        if sent.topic == "trading-decisions":
            found += recheck.take_decision(msgspec.json.decode(sent.value, type=Decision))
        elif sent.topic == "portfolio-snapshots":
            told = msgspec.json.decode(sent.value, type=PortfolioSnapshot)
            assert told.risk is not None
            told.risk.limits.update(changed)
            found += recheck.take_snapshot(told)
    return found, recheck.n_unchecked


def test_document_when_there_is_no_rollout_then_does_not_name_any() -> None:
    """Documents of before keep their digest, and what was recorded under them can be read."""
    assert "rollout" not in document().document()
    told = document(Challenge(id="r1", challenger="c" * 64)).document()
    assert told["rollout"] == {"id": "r1", "challenger": "c" * 64, "share": 0.0}
    assert document().layout() == document(Challenge(id="r1", challenger="c" * 64)).layout()
