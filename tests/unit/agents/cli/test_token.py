"""A link into the pages of a live stack, and pages that others can reach."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.cli import program as whole_program
from agents.cli.live_plan import LivePlan
from agents.run.serving import demo_access
from tables.stores.entry_codes import EntryCodes
from tables.stores.token_keys import TokenKeys


def test_link_when_the_stack_is_live_then_its_code_lets_that_person_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is printed alone, for a person or a program to open."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    home = tmp_path / "s1"
    home.mkdir()
    LivePlan([], "live", 1, 8_123).keep(home)
    words = ["token", "link", "--subject=ann", "--portfolio=main", "--name=s1"]
    done = CliRunner().invoke(whole_program(), words)
    assert done.exit_code == 0, done.output
    address = done.stdout.strip()
    assert address.startswith("http://127.0.0.1:8123/enter/")
    issued = EntryCodes(home / "auth").redeem(address.rsplit("/", 1)[1])
    assert issued is not None
    assert (issued.subject, issued.role, issued.portfolios) == ("ann", "researcher", ["main"])
    assert issued in TokenKeys(home / "auth").issued()


def test_link_when_the_stack_was_never_live_then_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no pages to open."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    (tmp_path / "s2").mkdir()
    words = ["token", "link", "--subject=ann", "--portfolio=*", "--name=s2"]
    done = CliRunner().invoke(whole_program(), words)
    assert done.exit_code != 0
    assert "tradewind up" in done.output


def test_demo_access_when_given_then_link_and_token_are_of_the_same_person(tmp_path: Path) -> None:
    """Revoking the one ends the other."""
    access = demo_access(tmp_path)
    issued = EntryCodes(tmp_path / "auth").redeem(access.path.removeprefix("/enter/"))
    assert issued is not None
    assert [one.jti for one in TokenKeys(tmp_path / "auth").issued()] == [issued.jti]
    assert issued.role == "researcher"


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.7", "::", "desk.example"])  # noqa: S104  refused
def test_web_when_others_could_reach_it_without_keys_then_it_does_not_start(host: str) -> None:
    """Accounts are shown to whoever is known, or to this machine alone."""
    words = ["web", "--bootstrap=127.0.0.1:1", f"--host={host}"]
    done = CliRunner().invoke(whole_program(), words)
    assert done.exit_code == 2
    assert "--auth" in done.output


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give two stacks, and settings of two portfolios."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    settings = tmp_path / "tradewind.toml"
    settings.write_text("[portfolios.main]\n[portfolios.second]\n")
    monkeypatch.chdir(tmp_path)
    for name in ("alpha", "beta"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name=gamma", "--subject=ann", "--portfolio=main"], "one that exists: alpha, beta"),
        (["--name=alpha", "--subject=", "--portfolio=main"], "--subject was ''"),
        (["--name=alpha", "--subject=  ", "--portfolio=main"], "not spaces alone"),
        (["--name=alpha", "--subject=a\nb", "--portfolio=main"], "--subject was 'a\\nb'"),
        (["--name=alpha", "--subject=ann"], "--portfolio is missing; expected one or more of main"),
        (
            ["--name=alpha", "--subject=ann", "--portfolio=mian"],
            "--portfolio was 'mian'; expected one of main, second, or '*'",
        ),
    ],
)
@pytest.mark.parametrize("command", ["issue", "link"])
def test_issue_when_it_is_for_nobody_or_nothing_known_then_there_is_no_token(
    stacks: Path, words: list[str], said: str, command: str
) -> None:
    """The message says what there is; nothing is written, no stack is made."""
    done = CliRunner().invoke(whole_program(), ["token", command, *words])
    assert done.exit_code == 1
    assert said in done.output
    assert [*stacks.glob("*/*")] == []


@pytest.mark.parametrize(
    ("words", "portfolios"),
    [
        (["--portfolio=second", "--portfolio=main"], ["second", "main"]),
        (["--portfolio=*"], ["*"]),
        (["--role=admin"], ["*"]),
        (["--role=admin", "--portfolio=main"], ["main"]),
    ],
)
def test_issue_when_portfolios_are_named_then_the_token_is_for_these(
    stacks: Path, words: list[str], portfolios: list[str]
) -> None:
    """All of them are asked for by name, but by an administrator."""
    words = ["token", "issue", "--subject=ann", "--name=alpha", *words]
    done = CliRunner().invoke(whole_program(), words)
    assert done.exit_code == 0, done.output
    (issued,) = TokenKeys(stacks / "alpha" / "auth").issued()
    assert issued.portfolios == portfolios
