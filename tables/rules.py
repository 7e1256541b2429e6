"""An epoch as an account goes by it: its portfolio's limits, instruments, hours and costs."""

import hashlib
from typing import NamedTuple

import msgspec

from models.risk.account import Account
from models.risk.limits import AccountRules, RiskLimits
from models.risk.sessions import Sessions
from streams.epochs import AROUND_THE_CLOCK, Portfolio
from streams.errors import RecordError
from streams.records import Digests
from tables.decisions import CONTRACT, Slot
from tables.epochs import LoadedEpoch

_JSON = msgspec.json.Encoder()


class Terms(NamedTuple):
    """What an epoch says about one portfolio: for its account, and for the events about it."""

    slot: Slot
    rules: AccountRules


def terms_of(loaded: LoadedEpoch, name: str) -> Terms:
    """Return the terms of a portfolio.

    Raises
    ------
    RecordError
        ``UNKNOWN_PORTFOLIO`` if the epoch has none of this name.
    """
    portfolio = next((p for p in loaded.epoch.portfolios if p.id == name), None)
    if portfolio is None:
        raise RecordError("UNKNOWN_PORTFOLIO", f"{name!r} is not in the epoch")
    limits = RiskLimits(**msgspec.structs.asdict(portfolio.limits))
    universe = tuple(sorted(portfolio.universe)) or loaded.epoch.symbols()
    known = {i.id: i for i in loaded.epoch.instruments}
    hours = {
        symbol: loaded.sessions[known[symbol].calendar]
        for symbol in universe
        if known[symbol].calendar != AROUND_THE_CLOCK
    }
    rules = AccountRules(
        symbols=universe,
        limits=limits,
        slippage_bps=portfolio.costs.slippage_bps,
        fee_bps=portfolio.costs.fee_bps,
        order_expiry_bars=portfolio.order_expiry_bars,
        sectors={symbol: known[symbol].sector for symbol in universe},
        shortable=frozenset(symbol for symbol in universe if known[symbol].shortable),
        hours=hours,
        day=_day(universe, hours),
        bar_ns=loaded.epoch.timeframe_ns,
        is_external=portfolio.venue == "external",
        reduces_on_breach=portfolio.on_breach == "reduce",
        parity=portfolio.risk_parity,
    )
    return Terms(_slot(loaded, portfolio, limits), rules)


def _day(universe: tuple[str, ...], hours: dict[str, Sessions]) -> Sessions | None:
    """Return the sessions that all symbols share; a portfolio of several markets has UTC days."""
    shared = set(hours.values())
    return shared.pop() if len(shared) == 1 and len(hours) == len(universe) else None


def _slot(loaded: LoadedEpoch, portfolio: Portfolio, limits: RiskLimits) -> Slot:
    """Return what all bars of an epoch share; each bar adds its close and the epoch's number."""
    epoch = loaded.epoch
    digests = Digests(
        schema=CONTRACT,
        feature_pipeline=epoch.pipeline_digest,
        models=epoch.models,
        limits=limits_digest(limits),
        universe=hashlib.sha256(_JSON.encode(epoch.symbols())).hexdigest(),
    )
    lot_sizes = {instrument.id: instrument.lot_size_e8() for instrument in epoch.instruments}
    challenged = loaded.challenged(portfolio.id)
    challenger = epoch.rollout.challenger if epoch.rollout and challenged else ""
    return Slot(portfolio, epoch.timeframe, 0, 0, digests, lot_sizes, challenger, challenged)


def limits_digest(limits: RiskLimits) -> str:
    """Return the digest of the limits in force, by which decisions name them."""
    return hashlib.sha256(_JSON.encode(limits._asdict())).hexdigest()


def slot_at(slot: Slot, account: Account, close_ns: int, epoch: int) -> Slot:
    """Return the slot of a bar or record: its time, its epoch, and the limits in force now."""
    digests = msgspec.structs.replace(slot.digests, limits=limits_digest(account.limits))
    return slot._replace(close_ns=close_ns, epoch=epoch, digests=digests)
