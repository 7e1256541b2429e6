"""Codes that let in once: used up, too old, none, and what their files tell."""

from pathlib import Path

import pytest

from streams import clock
from tables.stores import entry_codes
from tables.stores.entry_codes import GOOD_FOR_S, EntryCodes
from tables.stores.token_keys import Issued

_ISSUED = Issued(
    jti="j1",
    kid="k1",
    subject="ann",
    role="trader",
    portfolios=["main"],
    issued_s=1,
    expires_s=2,
    by="test",
)


def test_code_when_redeemed_then_it_is_whose_it_was_and_used_up(tmp_path: Path) -> None:
    """In another process too: the folder is what they share."""
    code = EntryCodes(tmp_path).issue(_ISSUED)
    assert EntryCodes(tmp_path).redeem(code) == _ISSUED
    assert EntryCodes(tmp_path).redeem(code) is None
    assert list((tmp_path / "entry").iterdir()) == []


def test_code_when_it_is_too_old_then_it_is_worth_nothing_and_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody used leaves the folder when the next one is made."""
    codes = EntryCodes(tmp_path)
    late, unused = codes.issue(_ISSUED), codes.issue(_ISSUED)
    now_ns = clock.wall_ns() + (GOOD_FOR_S + 60) * 1_000_000_000
    monkeypatch.setattr(entry_codes, "wall_ns", lambda: now_ns)
    assert codes.redeem(late) is None
    assert codes._path(unused).exists()
    fresh = codes.issue(_ISSUED)
    assert list((tmp_path / "entry").iterdir()) == [codes._path(fresh)]


@pytest.mark.parametrize("code", ["", "../../issued", "x" * 65, "5f2e", "\ud800"])
def test_code_when_it_is_none_then_nobody_comes_in(tmp_path: Path, code: str) -> None:
    """A code is no path."""
    assert EntryCodes(tmp_path).redeem(code) is None


def test_code_when_kept_then_the_folder_tells_nobody(tmp_path: Path) -> None:
    """Neither names nor contents hold the code; only the owner reads them."""
    code = EntryCodes(tmp_path).issue(_ISSUED)
    (path,) = (tmp_path / "entry").iterdir()
    assert code not in path.name
    assert code.encode() not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
