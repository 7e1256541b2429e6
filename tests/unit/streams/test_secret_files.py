"""A secret may come from a file, and from one place only."""

from pathlib import Path

import pytest

from streams.errors import SettingsError
from streams.secret_files import VARIABLES, read_secrets


@pytest.mark.parametrize("name", VARIABLES)
def test_secret_when_a_file_is_named_then_its_line_is_the_value(tmp_path: Path, name: str) -> None:
    """The file's end of line is none of the address; the name of the file goes."""
    file = tmp_path / "secret"
    file.write_text("postgresql://me:s3cret@db/trading\n")
    environment = {f"{name}_FILE": str(file), "HOME": "/"}
    read_secrets(environment)
    assert environment == {name: "postgresql://me:s3cret@db/trading", "HOME": "/"}


def test_secret_when_nothing_is_named_then_nothing_changes() -> None:
    """An address given directly stays; an empty name of a file is none."""
    environment = {"DATABASE_URL": "postgresql://db", "REDIS_URL_FILE": ""}
    read_secrets(environment)
    assert environment == {"DATABASE_URL": "postgresql://db"}


def test_secret_when_both_are_set_then_is_refused(tmp_path: Path) -> None:
    """Which of two passwords is meant nobody can know; neither is shown."""
    environment = {"REDIS_URL": "redis://:old@r", "REDIS_URL_FILE": str(tmp_path)}
    with pytest.raises(SettingsError, match="REDIS_URL and REDIS_URL_FILE are both set") as caught:
        read_secrets(environment)
    assert "old" not in str(caught.value)


def test_secret_when_the_file_is_missing_then_says_which_variable(tmp_path: Path) -> None:
    """The start ends with the name of the variable and of the file."""
    with pytest.raises(SettingsError, match=r"DATABASE_URL_FILE was .*nowhere.*cannot be read"):
        read_secrets({"DATABASE_URL_FILE": str(tmp_path / "nowhere")})


@pytest.mark.parametrize(("text", "n_lines"), [("", 0), ("\n", 0), ("a\nb", 2)])
def test_secret_when_the_file_has_not_one_line_then_is_refused(
    tmp_path: Path, text: str, n_lines: int
) -> None:
    """What the file holds is not shown."""
    file = tmp_path / "secret"
    file.write_text(text)
    with pytest.raises(SettingsError, match=f"which has {n_lines} lines; expected one"):
        read_secrets({"DATABASE_URL_FILE": str(file)})


def test_secret_when_the_file_is_no_text_then_is_refused(tmp_path: Path) -> None:
    """A key in binary is no address."""
    file = tmp_path / "secret"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_secrets({"DATABASE_URL_FILE": str(file)})
