"""Where stacks live."""

from pathlib import Path

import pytest

from streams.brokers.homes import cache_home, private_folder, stack_home
from streams.errors import SettingsError


def test_stack_home_when_tradewind_home_is_set_then_the_stack_lies_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TRADEWIND_HOME holds one folder per stack name."""
    monkeypatch.setenv("TRADEWIND_HOME", "/srv/stacks")
    assert stack_home("paper") == Path("/srv/stacks/paper")


def test_stack_home_when_nothing_is_set_then_it_follows_xdg(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without any variable the stack lies in the user's data folder."""
    monkeypatch.delenv("TRADEWIND_HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    assert stack_home() == Path("/home/ada/.local/share/tradewind/default")


def test_cache_home_when_xdg_is_relative_then_it_is_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """XDG asks programs to ignore relative paths."""
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", "/home/ada")
    assert cache_home() == Path("/home/ada/.cache/tradewind")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "Upper", "a" * 65, "a\n"])
def test_stack_home_when_the_name_is_no_plain_folder_then_it_is_refused(name: str) -> None:
    """A stack name can neither leave the root nor hide in it."""
    with pytest.raises(SettingsError, match="Stack name was"):
        stack_home(name)


def test_private_folder_when_it_was_open_to_others_then_it_is_closed(tmp_path: Path) -> None:
    """A folder of ours is readable by its owner only, even if it was not before."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    assert private_folder(folder).stat().st_mode & 0o777 == 0o700
