"""Files with the addresses of roles' logins, before anything is asked of a server."""

from pathlib import Path

import pytest

from streams.errors import SettingsError
from tables.stores.logins import login_files


def test_files_when_some_are_there_then_are_passwords_by_login(tmp_path: Path) -> None:
    """A password is written as an address wants it; other secrets of the folder are no logins."""
    (tmp_path / "database_url_archive").write_text("postgresql://tradewind_archive:a%2Fb@db/t\n")
    (tmp_path / "database_url").write_text("postgresql://tradewind:x@db/t")
    assert login_files(tmp_path) == {"archive": "a/b"}


@pytest.mark.parametrize(
    ("name", "address", "why"),
    [
        (
            "database_url_reader",
            "postgresql://tradewind:x@db/t",
            "'tradewind' with a password",
        ),
        ("database_url_reader", "postgresql://tradewind_reader@db/t", "without a password"),
        ("database_url_raeder", "postgresql://tradewind_reader:x@db/t", "has none of"),
    ],
)
def test_files_when_they_cannot_be_used_then_says_what_was_expected(
    tmp_path: Path, name: str, address: str, why: str
) -> None:
    """And never the password."""
    (tmp_path / name).write_text(address)
    with pytest.raises(SettingsError, match=why):
        login_files(tmp_path)
