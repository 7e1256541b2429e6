"""The commands about a book, on a log that is played."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from agents.cli import book, book_access, risk
from agents.cli.book_log import Place, ReadBook
from agents.risk import KeptBook
from models.risk.account import Account
from streams.epochs import Portfolio
from streams.errors import RecordError
from streams.instructions import Instruction, LimitChange, RiskParity, TradingState
from streams.records import Digests
from tables.decisions import Slot
from tests.oracles import FREE, account_of


class PlayedLog:
    """A log with one book, that notes what is appended."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.appended: list[Any] = []

    async def read(self, portfolio: str) -> ReadBook:
        """Return the book, or say that there is none."""
        if portfolio != "main":
            raise RecordError("NO_BOOK", f"no bar has reached portfolio {portfolio!r}")
        digests = Digests(schema="", feature_pipeline="", models="", limits="", universe="")
        slot = Slot(Portfolio(id="main"), "1min", 0, 0, digests, self.account.book.lot_sizes)
        return ReadBook(KeptBook("e", 1, slot, self.account), 1, 42)

    async def portfolios(self, known: str) -> list[str]:
        """Return two portfolios."""
        return sorted((known, "other"))

    async def append(self, said: Instruction) -> Place:
        """Note a record."""
        self.appended.append(said)
        return Place("portfolio-events", 1, 41 + len(self.appended))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PlayedLog:
    """Give a book of 1000 that may have a quarter of it in each asset."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path / "home"))
    moves = np.random.default_rng(1).normal(0, 0.01, (2, 80))
    limits = FREE._replace(max_asset_fraction=0.25, var_bars=80, correlation_bars=80)
    account = account_of({"AAA": 100.0, "BBB": 10.0}, limits=limits, window=moves)
    played = PlayedLog(account)
    monkeypatch.setattr(book_access, "log_of", lambda _stack, _run: played)
    return played


def say(*words: str) -> Result:
    """Run the program."""
    app = typer.Typer()
    risk.register(app)
    book.register(app)
    return CliRunner().invoke(app, list(words))


ASKED = ("risk", "check", "--symbol", "AAA", "--side", "BUY")


def test_check_when_it_passes_then_says_what_it_would_use(log: PlayedLog) -> None:
    """Two of 100 are a fifth: four fifths of the asset's limit, and nothing is appended."""
    result = say(*ASKED, "--quantity", "2", "--price", "100", "--json")
    said = json.loads(result.stdout)
    assert (result.exit_code, said["approved"], said["allowed_quantity"]) == (0, True, 2)
    assert said["position_after_trade"] == 2
    assert said["limit_utilization"]["max_asset_fraction"] == pytest.approx(0.8)
    assert said["as_of"]["next_offset"] == 42
    assert log.appended == []
    assert log.account.reservations.orders == []


def test_check_when_refused_then_names_the_reasons_and_exits_2(log: PlayedLog) -> None:
    """A script can tell a refusal from an error."""
    result = say(*ASKED, "--quantity", "9")
    assert result.exit_code == 2
    assert "refused: AAA in main (ACTIVE); allowed 2" in result.stdout
    assert "MAX_ASSET_FRACTION: AAA would be 0.9000 of equity" in result.stdout
    assert log.appended == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*ASKED, "--quantity", "2.5"), "quantity was 2.5; expected a multiple of the lot"),
        ((*ASKED, "--quantity", "0"), "quantity was 0.0; expected 0 < quantity"),
        ((*ASKED[:-1], "HOLD", "--quantity", "1"), "--side was 'HOLD'; expected one of BUY, SELL"),
        (
            (*ASKED, "--quantity", "1", "--portfolio", "x"),
            "no bar has reached portfolio 'x'",
        ),
        (("risk", "limits", "--set", "max_leverage"), "expected key=value"),
        (("risk", "limits", "--set", "max_leverage=much"), "expected a number"),
        (
            ("risk", "limits", "--set", "max_leverage=1", "--reason", "x"),
            "role was 'trader'; expected admin",
        ),
        (("risk", "resume", "--reason", "ok"), "role was 'trader'; expected admin"),
        (("risk", "halt", "--reason", "x", "--role", "boss"), "--role was 'boss'"),
        (("risk", "halt", "--reason", "x", "--scope", "world"), "--scope was 'world'"),
        (("risk", "halt", "--reason", "x", "--scope", "symbol"), "name was ''"),
        (("risk", "halt", "--reason", "x", "--target", "other"), "--target was 'other'"),
    ],
)
def test_commands_when_a_word_is_wrong_then_say_what_was_expected(
    log: PlayedLog, words: tuple[str, ...], message: str
) -> None:
    """Nothing is appended, and the message names the field."""
    result = say(*words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert log.appended == []


def test_limits_when_asked_then_shows_all(log: PlayedLog) -> None:
    """The limits in force, as a table or for programs."""
    log.account.kept.changed["max_leverage"] = 0.5
    log.account.adopt(log.account.rules)
    assert json.loads(say("risk", "limits", "--json").stdout)["max_leverage"] == 0.5
    shown = say("risk", "limits").stdout
    assert "max_leverage" in shown
    assert "yes" in shown


def test_limits_when_set_by_an_admin_then_are_appended(log: PlayedLog) -> None:
    """Numbers, flags and lists, with who and why, and the place in the log."""
    result = say(
        *("risk", "limits", "--set", "max_leverage=1.2", "--set", 'restricted=["AAA"]'),
        *("--reason", "calm", "--role", "admin", "--actor", "ann"),
    )
    assert result.exit_code == 0
    (said,) = log.appended
    assert isinstance(said, LimitChange)
    assert said.limits == {"max_leverage": 1.2, "restricted": ["AAA"]}
    assert (said.actor, said.role, said.reason) == ("ann", "admin", "calm")
    assert "partition 1, offset 42" in result.stdout


@pytest.mark.parametrize(("words", "action"), [((), "halt"), (("--reduce-only",), "reduce")])
def test_halt_when_anybody_asks_then_is_appended(
    log: PlayedLog, words: tuple[str, ...], action: str
) -> None:
    """The actor is the user of the machine if no other is named."""
    result = say("risk", "halt", "--reason", "smoke", "--json", *words)
    (said,) = log.appended
    assert isinstance(said, TradingState)
    assert (said.action, said.scope, said.portfolio, said.role) == (
        action,
        "portfolio",
        "main",
        "trader",
    )
    assert said.actor
    assert json.loads(result.stdout) == {
        "id": said.id,
        "topic": "portfolio-events",
        "partition": 1,
        "offset": 42,
    }


def test_halt_when_global_then_goes_to_every_portfolio(log: PlayedLog) -> None:
    """Each book has its own log, so each gets the record."""
    say("risk", "halt", "--reason", "smoke", "--scope", "global")
    say("risk", "resume", "--reason", "ok", "--scope", "global", "--role", "admin")
    assert [(said.portfolio, said.action) for said in log.appended] == [
        ("main", "halt"),
        ("other", "halt"),
        ("main", "resume"),
        ("other", "resume"),
    ]


def test_rebalance_when_asked_then_sets_the_weights_of_the_window(log: PlayedLog) -> None:
    """Two assets: inverse variances of what was seen; the caps that cannot hold are told."""
    result = say("risk", "rebalance", "--reason", "monthly", "--role", "admin")
    (said,) = log.appended
    assert isinstance(said, RiskParity)
    inverse = 1 / log.account.scenarios.window.var(axis=1)
    assert said.weights["AAA"] == pytest.approx(inverse[0] / inverse.sum())
    assert "left to the controls: AAA, BBB" in result.stdout


OPENING = """
cash = "5000.25"

[[positions]]
symbol = "AAA"
quantity = 3
price = 99.5
"""


def test_open_when_a_file_states_a_book_then_is_appended(log: PlayedLog, tmp_path: Path) -> None:
    """Cash as exact text, positions with their cost."""
    file = tmp_path / "positions.toml"
    file.write_text(OPENING)
    result = say("book", "open", "--file", str(file), "--role", "admin")
    assert result.exit_code == 0
    (said,) = log.appended
    assert (said.cash, said.positions[0].quantity, said.positions[0].price) == (
        "5000.25",
        3,
        99.5,
    )


@pytest.mark.parametrize(
    "text", ["cash = 5", "cash = ", 'cash = "1"\npositions = [{symbol = "A"}]', "\x00"]
)
def test_open_when_the_file_is_no_book_then_says_so(
    log: PlayedLog, tmp_path: Path, text: str
) -> None:
    """What is missing or of another type is named."""
    file = tmp_path / "positions.toml"
    file.write_text(text)
    result = say("book", "open", "--file", str(file), "--role", "admin")
    assert (result.exit_code, log.appended) == (1, [])
    assert "states no book" in result.stderr
    file.write_bytes(b" " * (5 << 20))
    assert "larger than" in say("book", "open", "--file", str(file)).stderr


def test_log_when_no_broker_runs_then_says_how_to_start_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way out is in the message."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    result = say("risk", "limits")
    assert (result.exit_code, "tradewind up" in result.stderr) == (1, True)
