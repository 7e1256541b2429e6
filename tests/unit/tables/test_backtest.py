"""What a backtest keeps of what books say."""

from collections.abc import Iterable

import msgspec
import numpy as np
import pytest

from models.risk.account import Account
from models.risk.decide import Outcome
from streams.dead_letters import DeadLetter, Origin
from streams.epochs import Portfolio
from streams.records import Decision
from streams.slices import Slice
from streams.timestamps import format_ns
from tables.backtest import Recorder, measured, regimes_of, verdict_of
from tables.decisions import Slot, Told
from tables.identity import Identity
from tests.builders import MIDNIGHT, MINUTE, bars, meta
from tests.oracles import account_of
from tests.unit.tables.views.played import TOO_MUCH, decision, refused

SLOT = Slot(Portfolio(id="main", cash="500"), "1min", 0, 1, decision().digests, {"AAA": 10**8})


def rows(minute: int, close: float | None = 100.0) -> Slice:
    """Return a bar of AAA that prediction has seen; None for a boundary without a trade."""
    closes = {} if close is None else {"AAA": close}
    fresh = bars(meta(MIDNIGHT + minute * MINUTE), closes, ("AAA",))
    return fresh.with_columns({"regime": np.array([[0.5, 0.3, 0.2, 1.4]])[: len(closes)]})


def told(account: Account, minute: int, decisions: Iterable[Decision], *slices: Slice) -> Told:
    """Let the book say something about a minute."""
    close_ns = MIDNIGHT + minute * MINUTE
    stamped = [
        msgspec.structs.replace(each, timestamp=format_ns(close_ns), symbol="AAA")
        for each in decisions
    ]
    return Told(SLOT._replace(close_ns=close_ns), account, Outcome(), stamped, [], slices)


def test_recorder_when_bars_are_said_then_counts_rows_verdicts_and_hash() -> None:
    """Warm bars are counted from the first that decides; the bytes are those of the wire."""
    kept_rows: list[tuple[int, int]] = []
    recorder = Recorder(lambda ts_ns, said: kept_rows.append((ts_ns, len(said))))
    account = account_of({"AAA": 100.0}, cash=500)
    warming = decision(1, action="HOLD", note="WARMING_UP")
    refusal = refused(3, TOO_MUCH)
    sayings = [
        told(account, 1, [warming], rows(1)),
        told(account, 2, [], rows(2, None)),
        told(account, 3, [decision(2)], rows(3)),
        told(account, 3, [refusal]),
        told(account, 4, [decision(4, action="HOLD")], rows(4)),
    ]
    expected = Identity()
    for said in sayings:
        recorder.take(said)
        for each in said.decisions:
            expected.add(
                "main", said.slot.close_ns, "AAA", each.decision_id, msgspec.json.encode(each)
            )
    kept = recorder.kept["main"]
    assert recorder.identity.total() == expected.total()
    assert (recorder.n_rows, recorder.decided_ns) == (3, MIDNIGHT + 4 * MINUTE)
    assert (kept.n_bars, kept.warm_from) == (3, 1)
    assert kept.verdicts == {"warming up": 1, "buy approved": 1, "buy refused": 1, "hold": 1}
    assert kept.rejections == {"MAX_ASSET_FRACTION": 1}
    assert [n for _, n in kept_rows] == [1, 1, 1, 1]
    found = kept.points.series()
    assert found.approved.tolist() == [0.0, 1.0, 0.0]
    assert kept.points.opened_with == 500.0


def test_recorder_when_letters_and_alerts_come_then_counts_them() -> None:
    """What could not be used never vanishes."""
    recorder = Recorder(lambda _ts, _said: None)
    letter = DeadLetter(Origin("market-ticks", 0, 1), "bars", "LATE", "late", b"")
    recorder.take(letter)
    alerted = told(account_of({"AAA": 100.0}), 1, [])._replace(
        outcome=Outcome(alerts=(("BAD_INPUT", "much"),))
    )
    recorder.take(alerted)
    assert (recorder.dead_letters, recorder.alerts) == ({"LATE": 1}, {"BAD_INPUT": 1})


def test_measured_when_a_range_begins_later_then_leaves_out_what_came_before() -> None:
    """Bars that warm up are none of the result, and neither are those before the range."""
    recorder = Recorder(lambda _ts, _said: None)
    account = account_of({"AAA": 100.0}, cash=500, held={"AAA": 1})
    for minute in range(1, 6):
        note = "WARMING_UP" if minute == 1 else ""
        said = decision(minute, action="HOLD", note=note)
        account.mark(MIDNIGHT + minute * MINUTE, {"AAA": 100.0 + minute})
        recorder.take(told(account, minute, [said], rows(minute)))
    kept = recorder.kept["main"]
    whole = measured(kept, 0)
    assert (whole.n_warmup_bars, len(whole.series.close_ns)) == (1, 4)
    assert whole.sheet is not None
    assert whole.sheet.first_equity == pytest.approx(601.0)
    later = measured(kept, MIDNIGHT + 4 * MINUTE)
    assert later.series.equity.tolist() == [604.0, 605.0]
    assert later.n_warmup_bars == 3


def test_measured_when_nothing_was_warm_then_has_no_sheet() -> None:
    """A range that only warms up says nothing, and says so."""
    recorder = Recorder(lambda _ts, _said: None)
    account = account_of({"AAA": 100.0})
    recorder.take(told(account, 1, [decision(1, action="HOLD", note="WARMING_UP")], rows(1)))
    found = measured(recorder.kept["main"], 0)
    assert (found.sheet, found.n_warmup_bars) == (None, 1)


def test_regimes_when_slices_have_rows_then_are_by_symbol() -> None:
    """Entropy is no regime; a slice without rows says nothing."""
    assert regimes_of([rows(1), rows(2, None)]) == {"AAA": (0.5, 0.3, 0.2)}


def test_verdict_when_input_is_void_then_is_named() -> None:
    """Void is no refusal of an order."""
    assert verdict_of(decision(1, action="HOLD", note="INPUT_VOID", approved=False)) == "input void"
