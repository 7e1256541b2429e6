"""Who calls: every forged token is refused, and every role can do what it may and nothing else."""

from pathlib import Path
from uuid import UUID

import pytest

from streams.clock import wall_ns
from streams.errors import SettingsError
from tables.stores.token_keys import TokenKeys
from tables.views.auth import Callers, issue
from tables.views.problems import ProblemError
from tests.attacks import DAY, Attack, Forge
from tests.may_call import MAY, NOBODY, REFUSED, ROLES, Deed, deeds_of, may
from tests.unit.agents.test_risk import SYMBOLS
from tests.unit.tables.views.conftest import STACK, Asking

BODIES = {
    "/risk/check": {"symbol": SYMBOLS[0], "side": "BUY", "quantity": 1},
    "/api/v1/predict": {"symbol": SYMBOLS[0]},
}


@pytest.fixture
def keys(tmp_path: Path) -> TokenKeys:
    """Give a stack's keys."""
    return TokenKeys(tmp_path / "auth")


def test_caller_when_the_token_is_good_then_is_who_it_says(keys: TokenKeys) -> None:
    """Subject, role and portfolios come from the token; the forge can make a good one too."""
    callers = Callers(keys, STACK)
    token, issued = issue(keys, STACK, "ann", "trader", ["alpha"], 1)
    caller = callers.caller(f"Bearer {token}")
    assert (caller.subject, caller.role, caller.jti) == ("ann", "trader", issued.jti)
    assert (caller.may_see("alpha"), caller.may_see("beta")) == (True, False)
    forged = Forge(keys, STACK, wall_ns() // 10**9)
    assert callers.caller(f"bearer {forged.sign(forged.claims())}").may_see("anything")


def test_caller_when_the_token_is_forged_then_is_nobody(keys: TokenKeys) -> None:
    """More than 120 ways to be somebody else, and none works."""
    callers = Callers(keys, STACK)
    attacks = list(Forge(keys, STACK, wall_ns() // 10**9).attacks())
    assert len(attacks) >= 120
    assert [attack.name for attack in attacks if not is_refused(callers, attack)] == []


def is_refused(callers: Callers, attack: Attack) -> bool:
    """Tell whether an attack gets the answer that says nothing."""
    try:
        callers.caller(attack.authorization)
    except ProblemError as error:
        return (error.status, error.code) == (401, "UNKNOWN_CALLER")
    return False


def test_caller_when_of_another_stack_then_is_nobody(tmp_path: Path) -> None:
    """The same keys, as after a copy of the folder, and another stack's name."""
    keys = TokenKeys(tmp_path / "auth")
    token, _ = issue(keys, "other-1", "ann", "trader", ["*"], 1)
    with pytest.raises(ProblemError):
        Callers(keys, STACK).caller(f"Bearer {token}")


def test_caller_when_revoked_or_expired_then_is_nobody_at_once(keys: TokenKeys) -> None:
    """A token that was good a moment ago and is remembered as such."""
    callers = Callers(keys, STACK)
    token, issued = issue(keys, STACK, "ann", "trader", ["*"], 1)
    assert callers.caller(f"Bearer {token}").subject == "ann"
    keys.revoke(issued.jti, "bob", "lost")
    with pytest.raises(ProblemError, match="revoked"):
        callers.caller(f"Bearer {token}")
    forge = Forge(keys, STACK, wall_ns() // 10**9 - DAY)
    short = forge.sign(forge.claims(exp=wall_ns() // 10**9 - 3))
    assert callers.caller(f"Bearer {short}").subject == "mallory"  # within the leeway


def test_caller_when_the_key_was_changed_then_old_tokens_stay_good(keys: TokenKeys) -> None:
    """Until they expire; new ones are signed with the new key."""
    callers = Callers(keys, STACK)
    before, first = issue(keys, STACK, "ann", "trader", ["*"], 1)
    keys.rotate()
    after, second = issue(keys, STACK, "ann", "trader", ["*"], 1)
    assert first.kid != second.kid
    assert [callers.caller(f"Bearer {token}").subject for token in (before, after)] == ["ann"] * 2


def test_caller_when_its_key_is_retired_then_no_token_of_it_is_good(keys: TokenKeys) -> None:
    """Neither those that were seen before nor those that whoever stole the key makes himself."""
    callers = Callers(keys, STACK)
    before, issued = issue(keys, STACK, "ann", "trader", ["*"], 1)
    forge = Forge(keys, STACK, wall_ns() // 10**9)
    stolen = forge.sign(forge.claims(jti="never-issued"))
    assert [callers.caller(f"Bearer {token}").subject for token in (before, stolen)]
    keys.rotate()
    other = TokenKeys(keys.folder)
    with pytest.raises(SettingsError, match="no key 'x' here"):
        other.retire("x")
    other.retire(issued.kid)
    for token in (before, stolen):
        with pytest.raises(ProblemError, match="401 UNKNOWN_CALLER: the token's key was retired"):
            callers.caller(f"Bearer {token}")
    after, _ = issue(keys, STACK, "ann", "trader", ["*"], 1)
    assert callers.caller(f"Bearer {after}").subject == "ann"


def test_caller_when_a_token_would_live_too_long_then_is_refused(keys: TokenKeys) -> None:
    """Nobody issues such a one here: it was made with the key alone."""
    now_s = wall_ns() // 10**9
    forge = Forge(keys, STACK, now_s)
    for days, is_good in ((366, True), (367, False)):
        token = forge.sign(forge.claims(iat=now_s, exp=now_s + days * DAY))
        if is_good:
            assert Callers(keys, STACK).caller(f"Bearer {token}").subject == "mallory"
        else:
            with pytest.raises(ProblemError, match="more than 366 days"):
                Callers(keys, STACK).caller(f"Bearer {token}")


def test_caller_when_the_list_of_revoked_is_gone_then_they_stay_revoked(keys: TokenKeys) -> None:
    """A file that vanished makes no token good again in a process that has read it."""
    callers = Callers(keys, STACK)
    token, issued = issue(keys, STACK, "ann", "trader", ["*"], 1)
    keys.revoke(issued.jti, "bob", "lost")
    for _ in range(2):
        with pytest.raises(ProblemError, match="revoked"):
            callers.caller(f"Bearer {token}")
        (keys.folder / "revoked.jsonl").unlink(missing_ok=True)


@pytest.mark.parametrize("days", [0, -1, 367, float("nan")])
def test_issue_when_it_would_live_too_long_or_not_then_is_refused(
    keys: TokenKeys, days: float
) -> None:
    """A year at most."""
    with pytest.raises(SettingsError, match="--days"):
        issue(keys, STACK, "ann", "trader", ["*"], days)


async def test_routes_when_anybody_calls_then_those_who_are_meant_to_get_in(
    asking: Asking,
) -> None:
    """Every endpoint of the document and every role, by a table that was written by hand."""
    document = await (await asking.client.get("/api/v1/openapi.json")).json()
    deeds = deeds_of(document)
    assert {Deed(one.method, one.path) for one in MAY} == {one for one in deeds if not one.body}
    parts = {
        "symbol": SYMBOLS[0],
        "timeframe": "1min",
        "decision_id": str(UUID(int=1)),
        "job_id": "j",
        "rollout_id": "r",
        "flag": "auto-advance",
    }
    wrong = []
    for deed in deeds:
        path = deed.path.format(**parts)
        given = BODIES.get(path, {}) | dict(deed.body) if deed.method == "POST" else None
        for role in ROLES:
            headers = {"Authorization": ""} if role == NOBODY else {}
            known = "trader" if role == NOBODY else role
            status, _, answer = await asking.ask(path, given, known, headers)
            refused = {NOBODY: 401}.get(role, 403)
            if (status in REFUSED) == may(deed, role) or (status in REFUSED and status != refused):
                wrong.append(f"{deed.label} {role}: {status}")
            assert (status == 401) == ("WWW-Authenticate" in answer.headers)
    assert wrong == []
