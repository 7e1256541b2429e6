"""What a stage has shown: bars that are whole, decisions of its own, arms of the right size."""

from pathlib import Path

import pytest

from models.risk.sessions import Sessions
from models.rollout import comparison
from models.rollout.comparison import findings
from models.rollout.guards import Rules, Timed
from models.rollout.stages import Act, Rollout, start, step
from streams.codec import pack_state, unpack_state
from streams.slices import Slice
from tables.rollout_stage import Shown, StageFold
from tables.stores.kept_stage import KeptStage
from tests.builders import MIDNIGHT, MINUTE
from tests.rollout_worlds import SHARE, SYMBOLS, Market, account, document

SECOND = 10**9
RULES = Rules()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Return a market in which no arm is better."""
    return Market(tmp_path_factory.mktemp("market"))


def rollout(market: Market, n_advances: int = 0) -> Rollout:
    """Return a rollout in a stage."""
    made = start("r1", market.champion, market.challenger, Act("start", MIDNIGHT, "me"))
    for _ in range(n_advances):
        made = step(made, Act("advance", MIDNIGHT, "me", reasons_against=()))
    return made


def fold(market: Market, n_advances: int = 0, shown: Shown | None = None) -> StageFold:
    """Return the fold of a stage."""
    return StageFold(rollout(market, n_advances), document(), RULES, shown)


def test_intents_when_bars_follow_then_are_those_of_the_comparison(market: Market) -> None:
    """All bars but the last have an outcome; what comes again is nothing."""
    stage = fold(market)
    for bar in range(150):
        for _ in range(2):
            stage.take_intents(market.intents(bar))
    found = stage.evidence()
    assert found.n_bars == 149
    assert found.n_rows == 150 * len(SYMBOLS)
    assert found.agreement_pct == 100.0
    assert found.target_correlation == pytest.approx(1.0)
    assert found.champion.loss == found.challenger.loss
    assert found.reasons_against == ["NO_DECISIONS"]


def test_shadow_when_it_wishes_something_else_then_is_not_left(tmp_path: Path) -> None:
    """A challenger at odds with the champion is held in shadow; people can ask for no likeness."""
    odd = Market(tmp_path)
    odd.up[1, :, 0] = 1.0 - odd.up[0, :, 0]  # one symbol's targets, turned round
    unlike = StageFold(rollout(odd), document(), RULES)
    free = StageFold(rollout(odd), document(), Rules(least_correlation=0.0))
    later = fold(odd, n_advances=1)
    for bar in range(150):
        for stage, share in ((unlike, 0.0), (free, 0.0), (later, 0.05)):
            stage.take_intents(odd.intents(bar, share))
    assert unlike.findings().target_correlation < 0.95
    assert "UNLIKE_CHAMPION" in unlike.reasons_against()
    assert "UNLIKE_CHAMPION" not in free.reasons_against() + later.reasons_against()


def test_intents_when_partitions_lag_then_a_bar_waits_for_all(market: Market) -> None:
    """A bar is judged when every partition has told it, in the order of bars."""
    both = [
        (market.intents(bar, partition=p, n_partitions=2), bar, p)
        for bar in range(5)
        for p in (0, 1)
    ]
    stage = StageFold(rollout(market), document(n_partitions=2), RULES)
    for slice_, _, partition in both:
        if partition == 0:
            stage.take_intents(slice_)
    assert stage.evidence().n_rows == 0
    assert not stage.is_between_bars
    for slice_, _, partition in both:
        if partition == 1:
            stage.take_intents(slice_)
    assert stage.evidence().n_bars == 4
    assert stage.is_between_bars


def test_intents_when_a_partition_is_gone_then_wait_within_a_bound(market: Market) -> None:
    """Memory has a bound: behind 64 bars the oldest is judged as it is."""
    stage = StageFold(rollout(market), document(n_partitions=2), RULES)
    for bar in range(70):
        stage.take_intents(market.intents(bar, n_partitions=2))
    assert stage.evidence().n_rows == (70 - 64) * len(SYMBOLS)


def test_decisions_when_counted_then_are_those_of_this_stage(market: Market) -> None:
    """Of another epoch, other models, another portfolio or a person's wish nothing is counted."""
    stage = fold(market)
    stage.take_intents(market.intents(0))
    for changed in (
        {"epoch": 1},
        {"portfolio": "other"},
        {"intent_id": "a wish"},
        {"arm": "f" * 64},
    ):
        stage.take_decision(market.decision(0, "S0", **changed), None)
    assert stage.evidence().champion.n_decisions == 0
    stage.take_decision(market.decision(0, "S0"), None)
    stage.take_decision(market.decision(0, "S1", approved=False), Timed(SECOND, 50.0))
    found = stage.evidence()
    assert (found.champion.n_decisions, found.champion.n_refused) == (2, 1)
    assert found.challenger.n_decisions == 0
    assert 50.0 <= (found.champion.p95_ms or 0.0) <= 55.0
    assert (found.n_champion_units, found.n_challenger_units) == (2, 0)


def test_decisions_when_the_wrong_arm_decides_then_alarms(market: Market) -> None:
    """The assignment is a function: one unit elsewhere stops the rollout from going on."""
    stage = fold(market, n_advances=2)
    for bar in range(150):
        stage.take_intents(market.intents(bar, SHARE))
        for symbol in SYMBOLS:
            stage.take_decision(market.decision(bar, symbol, SHARE), None)
    assert stage.reasons_against() == []
    split = stage.split()
    assert split.n_champion + split.n_challenger == len(SYMBOLS)
    assert split.n_challenger > 0
    decided = market.decision(149, SYMBOLS[0], SHARE).digests.models
    other = {market.champion, market.challenger} - {decided}
    stage.take_decision(market.decision(149, SYMBOLS[0], SHARE, arm=other.pop()), None)
    assert stage.reasons_against() == ["SAMPLE_RATIO"]


def test_harm_when_an_account_is_beyond_its_limits_then_names_the_order(market: Market) -> None:
    """The order says itself that all is well; the account that it led to says otherwise."""
    stage = fold(market, n_advances=2)
    orders = [market.decision(0, symbol, SHARE) for symbol in SYMBOLS]
    for order in orders:
        stage.take_decision(order, None)
    assert not stage.is_between_bars
    # 0.25 of a million at 187.34 are 1334.4 units; what all hold together is not limited here.
    wide = {"max_sector_fraction": 9.0, "max_leverage": 9.0, "max_gross_fraction": 9.0}
    stage.take_snapshot(account(0, 1_335, **wide))
    assert stage.is_between_bars
    ours = [order for order in orders if order.digests.models == market.challenger]
    assert f"{ours[-1].decision_id} (MAX_ASSET_FRACTION)" in stage.harm()
    found = stage.evidence()
    assert found.challenger.n_violations == len(ours)
    assert found.champion.n_violations == len(orders) - len(ours)


def test_harm_when_the_challenger_breaks_a_limit_then_names_the_decision(market: Market) -> None:
    """More than allowed was approved: of the challenger it ends, of the champion it is not its."""
    stage = fold(market, n_advances=2)
    stage.take_intents(market.intents(0, SHARE))
    too_much = {"approved": True, "quantity": 11, "allowed_quantity": 10}
    units = {symbol: market.decision(0, symbol, SHARE, **too_much) for symbol in SYMBOLS}
    of = {
        name: [d for d in units.values() if d.digests.models == name]
        for name in (market.champion, market.challenger)
    }
    stage.take_decision(of[market.champion][0], None)
    assert stage.harm() == ""
    bad = of[market.challenger][0]
    stage.take_decision(bad, None)
    assert bad.decision_id in stage.harm()
    assert "RISK_VIOLATION" in stage.reasons_against()
    again = fold(market, 2, stage.shown({}))
    assert again.harm() != ""


def test_harm_when_a_challenger_that_decides_falls_silent_then_goes_back(tmp_path: Path) -> None:
    """Twenty bars without a word; in shadow it harms nobody, and is only not let on."""
    mute = Market(tmp_path)
    mute.up[1, 110:] = float("nan")
    shadow, canary = fold(mute), fold(mute, n_advances=2)
    for bar in range(130):
        for stage, share in ((shadow, 0.0), (canary, SHARE)):
            assert stage.harm() == ""
            stage.take_intents(mute.intents(bar, share))
    assert "wished nothing for the last 20 bars" in canary.harm()
    assert shadow.harm() == ""
    assert "CHALLENGER_SILENT" in shadow.reasons_against()


def test_reasons_when_one_arm_decided_nothing_then_names_it(market: Market) -> None:
    """Each arm that the hash gives symbols must have decided; where it gives none there is none."""
    stage = fold(market, n_advances=2)
    everyone = fold(market, n_advances=3)
    for bar in range(150):
        stage.take_intents(market.intents(bar, SHARE))
        everyone.take_intents(market.intents(bar, SHARE))
        for symbol in SYMBOLS:
            made = market.decision(bar, symbol, SHARE)
            if made.digests.models == market.champion:
                stage.take_decision(made, None)
            everyone.take_decision(market.decision(bar, symbol, arm=market.challenger), None)
    assert "NO_DECISIONS" in stage.reasons_against()
    assert everyone.reasons_against() == []


def test_lived_when_bars_are_missing_or_markets_closed_then_counts_what_was_judged(
    market: Market,
) -> None:
    """A bar without an outcome is none, but where nobody could trade; a gap counts for nothing."""
    first_ns = MIDNIGHT + 9 * MINUTE
    hours = [Sessions((first_ns,), (first_ns + 10 * MINUTE,))]
    always, closes = fold(market), StageFold(rollout(market), document(), RULES, hours=hours)
    assert (always.lived_ns, always.heard_ns) == (0, MIDNIGHT)
    for bar in (*range(30), *range(60, 70)):
        for stage in (always, closes):
            slice_ = market.intents(bar)
            is_empty = not 10 <= bar < 20
            stage.take_intents(Slice(slice_.meta, slice_.batch[:0]) if is_empty else slice_)
    # The bars 10 to 19 are of the session; the first of them has no close before it.
    assert always.lived_ns == 9 * MINUTE
    assert closes.lived_ns == (30 - 10 + 10 + 9) * MINUTE
    assert closes.heard_ns == MIDNIGHT + 69 * MINUTE


def test_harm_when_decisions_are_slow_then_says_how_slow(market: Market) -> None:
    """The window of the last decisions is over its bound."""
    stage = fold(market)
    stage.take_intents(market.intents(0))
    for number in range(200):
        stage.take_decision(market.decision(0, "S0"), Timed(number * SECOND, 300.0))
    assert "300 ms" in stage.harm()
    assert "LATENCY" in stage.reasons_against()


def test_harm_when_the_challenger_is_much_worse_then_says_so(tmp_path: Path) -> None:
    """An arm that leans against what happens, by far and for certain."""
    bad = Market(tmp_path, better=-0.35)
    stage = fold(bad)
    for bar in range(60):
        stage.take_intents(bad.intents(bar))
    assert "worse by more than 30 %" in stage.harm()


def test_shown_when_kept_then_goes_on_as_if_nothing_had_been(
    market: Market, tmp_path: Path
) -> None:
    """A restart counts nothing twice and forgets nothing; another stage begins anew."""
    whole, first = fold(market), fold(market)
    for bar in range(120):
        for stage in (whole, first) if bar < 60 else (whole,):
            stage.take_intents(market.intents(bar))
            stage.take_decision(market.decision(bar, "S0"), Timed(bar * SECOND, 20.0))
    kept = KeptStage(tmp_path / "rollout" / "stage.bin")
    assert kept.read() is None
    kept.keep(first.shown({"trading-decisions:0": 60}))
    again = fold(market, shown=kept.read())
    assert again.offsets == {"trading-decisions:0": 60}
    for bar in range(50, 120):
        again.take_intents(market.intents(bar))
        if bar >= 60:
            again.take_decision(market.decision(bar, "S0"), Timed(bar * SECOND, 20.0))
    assert pack_state(again.shown({})) == pack_state(whole.shown({}))
    assert fold(market, n_advances=1, shown=kept.read()).evidence().n_bars == 0


def test_kept_when_it_is_of_another_version_then_is_measured_anew(tmp_path: Path) -> None:
    """What cannot be read is said and left."""
    path = tmp_path / "stage.bin"
    path.write_bytes(b"something else")
    assert KeptStage(path).read() is None


def test_belongs_when_epochs_are_compared_then_are_by_rollout_and_share(market: Market) -> None:
    """The epoch of a slice says to which stage it is."""
    stage = fold(market)
    epochs = [market.epochs.load(digest).epoch for digest in market.digests]
    assert [stage.belongs(each) for each in epochs] == [False, True, False, False]


def test_shown_when_packed_then_has_every_field() -> None:
    """The state goes through bytes whole."""
    assert set(Shown._fields) >= {"compared", "decided", "latencies", "units", "offsets"}
    state = comparison.initial_state(2)
    assert (
        findings(unpack_state(comparison.Compared, pack_state(state)), tightest_at=5.0).n_bars == 0
    )
