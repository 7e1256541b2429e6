"""For whom a token is: checked before it is issued, so that none is for nobody or for too much."""

import re
from pathlib import Path
from typing import NamedTuple

from agents.cli.book_access import one_of
from agents.cli.live_plan import LivePlan
from streams.brokers import existing_home
from streams.errors import SettingsError
from streams.instructions import Role
from streams.records import LONGEST_ID
from streams.settings import Settings
from tables.views.auth import ALL_PORTFOLIOS

ROLES = ("trader", "researcher", "admin")

_SUBJECT = re.compile(rf"(?! *$)[^\x00-\x1f\x7f]{{1,{LONGEST_ID}}}")


class Terms(NamedTuple):
    """The stack's folder, who, as what, for which portfolios."""

    home: Path
    subject: str
    role: Role
    portfolios: list[str]


def terms_of(stack: str, subject: str, role: str, portfolios: list[str] | None) -> Terms:
    """Return the terms of a token.

    Raises
    ------
    SettingsError
        If the stack or a portfolio is unknown, nobody is named, or no portfolio is: all of them
        are meant by ``*`` alone, and by an administrator.
    """
    home = existing_home(stack)
    if not _SUBJECT.fullmatch(subject):
        raise SettingsError(
            f"--subject was {subject[:80]!r}; expected 1 to {LONGEST_ID} characters that name who "
            "will use it, not spaces alone"
        )
    as_what: Role = one_of("role", role, ROLES)
    known = _known(home)
    if not portfolios and as_what != "admin":
        raise SettingsError(
            f"--portfolio is missing; expected one or more of {', '.join(known)}, or "
            f"'{ALL_PORTFOLIOS}' for all of them"
        )
    for name in portfolios or ():
        if name not in known and name != ALL_PORTFOLIOS:
            raise SettingsError(
                f"--portfolio was {name!r}; expected one of {', '.join(known)}, or "
                f"'{ALL_PORTFOLIOS}' for all of them"
            )
    return Terms(home, subject, as_what, portfolios or [ALL_PORTFOLIOS])


def _known(home: Path) -> list[str]:
    """Return the portfolios that the stack decides for, and those that the settings name."""
    names = set(Settings.read().portfolios)
    plan = LivePlan.of(home)
    if plan is not None and plan.epochs:
        names |= {portfolio.id for portfolio in plan.decides(home).portfolios}
    return sorted(names)
