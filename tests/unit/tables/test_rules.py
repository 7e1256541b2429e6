"""An epoch as an account goes by it: nothing is lost on the way from the document to the rules."""

from pathlib import Path

import msgspec
import pytest

from models.risk.limits import RiskLimits
from models.risk.sessions import Sessions
from streams.epochs import Instrument, Limits, Portfolio
from streams.errors import RecordError
from tables.calendars import encode_sessions
from tables.epochs import LoadedEpoch
from tables.rules import limits_digest, slot_at, terms_of
from tables.stores.artifacts import Artifacts
from tests.builders import epoch, epochs_in
from tests.oracles import account_of

HOURS = Sessions((10**9,), (2 * 10**9,))


def loaded(root: Path, *instruments: Instrument, **portfolio: object) -> LoadedEpoch:
    """Load an epoch with one portfolio and a calendar XNYS."""
    digest = Artifacts(root).put_json(encode_sessions("XNYS", HOURS))
    document = epoch(
        instruments=instruments,
        portfolios=(Portfolio(id="main", **portfolio),),  # type: ignore[arg-type]  any field
        calendars={"XNYS": digest},
    )
    epochs, (kept,) = epochs_in(root, document)
    return epochs.load(kept)


def test_limits_when_listed_then_are_the_same_on_both_sides() -> None:
    """Every key of the settings is a limit of the controls, with the same default."""
    assert RiskLimits()._asdict() == msgspec.structs.asdict(Limits())


def test_terms_when_taken_then_hold_all_of_the_portfolio(tmp_path: Path) -> None:
    """Sectors, hours, flags, venue, weights and costs."""
    instruments = (
        Instrument(id="AAA", sector="x", calendar="XNYS", shortable=True),
        Instrument(id="BBB"),
        Instrument(id="CCC", sector="y"),
    )
    epoch_ = loaded(
        tmp_path,
        *instruments,
        universe=("BBB", "AAA"),
        venue="external",
        on_breach="reduce",
        risk_parity={"AAA": 1.0},
        order_expiry_bars=3,
    )
    slot, rules = terms_of(epoch_, "main")
    assert rules.symbols == ("AAA", "BBB")
    assert rules.sectors == {"AAA": "x", "BBB": "Unclassified"}
    assert rules.hours == {"AAA": HOURS}
    assert rules.day is None
    assert (rules.shortable, rules.parity) == (frozenset({"AAA"}), {"AAA": 1.0})
    assert (rules.is_external, rules.reduces_on_breach, rules.order_expiry_bars) == (True, True, 3)
    assert rules.bar_ns == 60 * 10**9
    assert slot.portfolio.id == "main"


def test_day_when_all_trade_in_one_market_then_is_its_session(tmp_path: Path) -> None:
    """A book of one market has its days; a mixed one has those of UTC."""
    one = tuple(Instrument(id=s, calendar="XNYS") for s in ("AAA", "BBB"))
    assert terms_of(loaded(tmp_path, *one), "main").rules.day == HOURS


def test_terms_when_the_portfolio_is_unknown_then_says_so(tmp_path: Path) -> None:
    """A record for nobody names whom it was for."""
    with pytest.raises(RecordError, match="UNKNOWN_PORTFOLIO"):
        terms_of(loaded(tmp_path, Instrument(id="AAA")), "nobody")


def test_slot_when_limits_change_then_has_their_digest(tmp_path: Path) -> None:
    """A decision names the limits in force, also those that a record has set."""
    slot, rules = terms_of(loaded(tmp_path, Instrument(id="AAA")), "main")
    account = account_of({"AAA": 1.0}, limits=rules.limits)
    assert slot_at(slot, account, 5, 2).digests == slot.digests
    account.kept.changed["max_leverage"] = 0.5
    account.adopt(account.rules)
    changed = slot_at(slot, account, 5, 2)
    assert (changed.close_ns, changed.epoch) == (5, 2)
    assert changed.digests.limits == limits_digest(account.limits) != slot.digests.limits
