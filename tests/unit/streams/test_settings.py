"""Settings: one file, overridden by the environment, read once, typed or refused."""

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from streams.errors import SettingsError
from streams.settings import Settings, instruments_of, portfolios_of

FILE = """
partitions = 4
lateness_ms = 250
[instruments.EURUSD]
currency = "USD"
lot_size = "1000"
[instruments.AAPL]
sector = "Fruit"
[portfolios.zeta]
cash = "5000"
[portfolios.alpha]
universe = ["AAPL"]
[portfolios.alpha.limits]
max_asset_fraction = 0.1
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a configuration and name it in the environment."""
    path = tmp_path / "mine.toml"
    path.write_text(FILE)
    monkeypatch.setenv("TRADEWIND_CONFIG", str(path))
    return path


def test_settings_when_nothing_is_set_then_have_their_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file there is one portfolio."""
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    assert settings.partitions == 2
    (portfolio,) = portfolios_of(settings)
    assert (portfolio.id, Decimal(portfolio.cash)) == ("main", Decimal(1_000_000))


@pytest.mark.usefixtures("file")
def test_settings_when_file_and_environment_differ_then_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An argument beats the environment, the environment beats the file."""
    assert (Settings().partitions, Settings().lateness_ms) == (4, 250)
    monkeypatch.setenv("TRADEWIND_PARTITIONS", "8")
    monkeypatch.setenv("TRADEWIND_PORTFOLIOS__zeta__cash", "7000")
    assert Settings().partitions == 8
    assert Settings(partitions=16).partitions == 16
    assert {p.id: p.cash for p in portfolios_of(Settings())}["zeta"] == "7000"


@pytest.mark.parametrize(
    "wrong", ["partitions = 0", "partitions = 'many'", "lateness_ms = -1", "surprise = 1"]
)
def test_settings_when_a_key_is_wrong_then_refuse(file: Path, wrong: str) -> None:
    """A value outside its bounds and a key nobody knows stop the start."""
    file.write_text(wrong)
    with pytest.raises(ValidationError, match=wrong.split(" ", maxsplit=1)[0]):
        Settings()


def test_settings_when_made_then_cannot_change() -> None:
    """Settings are read once."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().partitions = 3  # type: ignore[misc]


@pytest.mark.usefixtures("file")
def test_instruments_when_shipped_and_set_then_are_merged_by_key() -> None:
    """Settings override single keys of the shipped table; an unknown symbol has the defaults."""
    found = {i.id: i for i in instruments_of(Settings(), ("ZZZ", "EURUSD", "AAPL", "JPM"))}
    assert list(found) == ["AAPL", "EURUSD", "JPM", "ZZZ"]
    assert found["AAPL"].sector == "Fruit"
    assert found["EURUSD"].lot_size_e8() == 1000 * 10**8
    assert found["JPM"].sector != "Unclassified"
    assert (found["ZZZ"].sector, found["ZZZ"].currency) == ("Unclassified", "USD")


@pytest.mark.usefixtures("file")
def test_portfolios_when_set_then_come_in_order_with_their_limits() -> None:
    """Portfolios are sorted by id, so the epoch's digest does not depend on the file's order."""
    alpha, zeta = portfolios_of(Settings())
    assert (alpha.id, alpha.universe, alpha.limits.max_asset_fraction) == ("alpha", ("AAPL",), 0.1)
    assert (zeta.id, zeta.cash, zeta.limits.max_asset_fraction) == ("zeta", "5000", 0.25)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("[portfolios.p]\nmoney = 1", r"portfolios\.p has unknown keys money"),
        ("[portfolios.p]\nvenue = 'moon'", r"portfolios\.p: Invalid enum value 'moon'"),
        ("[portfolios.p]\nuniverse = 5", r"portfolios\.p: Expected `array`"),
    ],
)
def test_portfolios_when_a_key_is_wrong_then_name_it(file: Path, wrong: str, message: str) -> None:
    """The message has the table and what was expected."""
    file.write_text(wrong)
    with pytest.raises(SettingsError, match=message):
        portfolios_of(Settings())


def test_instruments_when_a_key_is_unknown_then_name_it(file: Path) -> None:
    """A misspelt key is not silently a default."""
    file.write_text("[instruments.A]\nlotsize = '1'")
    with pytest.raises(SettingsError, match=r"instruments\.A has unknown keys lotsize"):
        instruments_of(Settings(), ("A",))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TRADEWIND_PARTITION", "4", "TRADEWIND_PARTITION is set but is no setting"),
        ("TRADEWIND_PARTITIONS", "none", "setting partitions was 'none'"),
        ("TRADEWIND_CONFIG", "no/such.toml", "TRADEWIND_CONFIG was 'no/such.toml'"),
    ],
)
def test_read_when_a_variable_is_wrong_then_says_which(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slip of the pen is not silently a default."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said):
        Settings.read()


def test_read_when_all_is_well_then_gives_the_settings(file: Path) -> None:
    """The file that the environment names is read."""
    assert file.exists()
    assert Settings.read().partitions == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[portfolios.main.limits]\nmax_asset_fractoin = 0.05", "max_asset_fractoin"),
        ("[portfolios.main.costs]\nfee_bp = 9", "fee_bp"),
    ],
)
def test_portfolios_when_a_nested_key_is_mistyped_then_are_refused(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit that is not read is a limit that does not hold."""
    path = tmp_path / "typo.toml"
    path.write_text(text)
    monkeypatch.setenv("TRADEWIND_CONFIG", str(path))
    with pytest.raises(SettingsError, match=said):
        portfolios_of(Settings.read())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lateness_ms =", "cannot be read"),
        ("[portfolios.Growth]\n[portfolios.growth]", "differ in case only"),
    ],
)
def test_read_when_the_file_is_wrong_then_says_so(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is no TOML, or names two accounts alike, is refused in one line."""
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    monkeypatch.setenv("TRADEWIND_CONFIG", str(path))
    with pytest.raises(SettingsError, match=said):
        Settings.read()
