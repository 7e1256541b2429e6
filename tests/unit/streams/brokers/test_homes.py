"""Where stacks live."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streams.brokers.homes import cache_home, private_folder, stack_home, stack_id
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


def test_stack_id_when_asked_again_then_is_the_same_and_begins_with_the_name(
    tmp_path: Path,
) -> None:
    """An id is made once, outlives processes, and can be told from that of a namesake."""
    first, namesake = tmp_path / "here" / "paper", tmp_path / "there" / "paper"
    made = stack_id(first)
    assert made == stack_id(first) != stack_id(namesake)
    assert re.fullmatch(r"paper-[0-9a-f]{8}", made)
    assert [file.name for file in first.iterdir()] == ["stack.id"]


def test_stack_id_when_many_ask_at_once_then_all_get_one(tmp_path: Path) -> None:
    """An archive and a training that start together do not name the stack twice."""
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(stack_id, [tmp_path / "paper"] * 32))) == 1


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
