"""``tradewind backtest`` as a person uses it: a file of their own, and everything wrong with it."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from agents.cli import program as whole_program
from agents.run import backtest
from streams.sources.replay import Stretch
from streams.timestamps import format_ns
from tables.stores.artifacts import Artifacts
from tests.builders import MIDNIGHT, MINUTE, models

N_BARS = 320
SYMBOLS = ("AAA", "BBB")

Program = Callable[..., Result]


def write(path: Path, *, zone: str = "Z", n_bars: int = N_BARS) -> Path:
    """Write minute bars of two symbols."""
    lines = ["symbol,ts_event,ts_close,open,high,low,close,volume"]
    for bar in range(n_bars):
        opened, closed = (
            format_ns(MIDNIGHT + at * MINUTE).removesuffix("Z") + zone for at in (bar, bar + 1)
        )
        for number, symbol in enumerate(SYMBOLS):
            close = 100.0 + 10.0 * math.sin(bar / (7.0 + number))
            lines.append(f"{symbol},{opened},{closed},{close},{close + 1},{close - 1},{close},1000")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Give the command with the file, and models drawn for it."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    # The command sets it for those that it starts; here it ends with the test.
    monkeypatch.setenv("TRADEWIND_CONFIG", "")
    monkeypatch.delenv("TRADEWIND_CONFIG")
    drawn = models()
    known = drawn.metadata | {
        "symbols": ["AAA"],
        "first_close_ns": MIDNIGHT,
        "last_close_ns": MIDNIGHT + 280 * MINUTE,
    }
    digest = Artifacts(tmp_path / "default" / "artifacts").put_models(
        drawn._replace(metadata=known)
    )
    file = write(tmp_path / "bars.csv")

    def run(*options: str, models: str = digest, file: Path = file) -> Result:
        return CliRunner().invoke(
            whole_program(), ["backtest", f"--file={file}", f"--models={models}", *options]
        )

    return run


def test_backtest_when_a_file_is_given_then_writes_results_and_says_what_they_are(
    program: Program, tmp_path: Path
) -> None:
    """The range counts from its first close, features are warm there, and look-ahead is loud."""
    out = tmp_path / "out"
    begin = format_ns(MIDNIGHT + 260 * MINUTE)
    done = program(f"--out={out}", f"--from={begin}", "--cash=50000")
    assert done.exit_code == 0, done.output
    assert "IN SAMPLE (look-ahead) until 2024-01-02T04:40:00Z" in done.stderr
    assert "fitted without BBB" in done.stderr
    assert str(out) in done.stderr.replace("\n", "")
    summary = json.loads((out / "summary.json").read_text())
    sheet = summary["portfolios"]["main"]["sheet"]
    assert sheet["n_bars"] == N_BARS - 259
    assert sheet["first_equity"] == 50_000.0
    assert summary["n_decisions"] == 2 * (N_BARS - 7)
    assert summary["n_symbol_bars"] == 2 * (N_BARS - 7)
    facts = dict(summary["facts"])
    assert facts["Book"].startswith("fresh")
    assert facts["Range"].startswith(begin)
    assert facts["Changed"] == "cash=50000"
    decisions = pd.read_parquet(out / "decisions.parquet")
    assert len(decisions) == summary["n_decisions"]
    equity = pd.read_parquet(out / "equity.parquet")
    assert equity["equity"].iloc[-1] == sheet["last_equity"]
    assert "<svg" in (out / "report.html").read_text()
    assert program(f"--out={out}").exit_code == 1


def test_backtest_when_asked_for_json_then_prints_the_summary(
    program: Program, tmp_path: Path
) -> None:
    """A program reads the result from the output, and runs give the same one twice."""
    first = program(f"--out={tmp_path / '1'}", "--json", "--no-report")
    second = program(f"--out={tmp_path / '2'}", "--json", "--no-report", "--set=risk.var_bars=250")
    assert not (tmp_path / "1" / "report.html").exists()
    assert json.loads(first.stdout)["hash"] == json.loads(second.stdout)["hash"]
    limited = program(f"--out={tmp_path / '3'}", "--json", "--set=risk.max_order_lots=1")
    assert json.loads(limited.stdout)["hash"] != json.loads(first.stdout)["hash"]


def test_backtest_when_settings_are_named_then_are_those(program: Program, tmp_path: Path) -> None:
    """A file of settings makes another book."""
    config = tmp_path / "settings.toml"
    config.write_text('[portfolios.mine]\ncash = "7000"\nuniverse = ["BBB"]\n')
    done = program(f"--config={config}", f"--out={tmp_path / 'out'}", "--json", "--no-report")
    summary = json.loads(done.stdout)
    assert list(summary["portfolios"]) == ["mine"]
    assert summary["n_decisions"] == N_BARS


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--from=2025-01-01T00:00:00Z"], "expected some from 2025-01-01T00:00:00Z"),
        (["--from=2024-01-02T00:00:00"], "--from was '2024-01-02T00:00:00'; expected an RFC"),
        (["--set=risk.max_leverage=1,2"], "--sweep takes several"),
        (["--set=risk.max_leverage=-1"], "limits.max_leverage was -1"),
        (["--cash=none"], "cash was 'none'"),
        (["--topic=market-ticks"], "--file and --topic were both given"),
        (["--timeframe=5min"], "its bars are 1min bars"),
        (["--config=no.toml"], "TRADEWIND_CONFIG was 'no.toml'"),
    ],
)
def test_backtest_when_an_option_is_wrong_then_says_so_before_it_runs(
    options: list[str], told: str, program: Program, tmp_path: Path
) -> None:
    """Nothing is written, and the message names what was found and what was expected."""
    done = program(f"--out={tmp_path / 'out'}", *options)
    assert done.exit_code == 1
    assert told in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()


def test_backtest_when_the_models_are_gone_then_says_so(program: Program) -> None:
    """A digest that no file has is no model."""
    done = program(models="0" * 64)
    assert (done.exit_code, "no safetensors artefact 0000" in done.output) == (1, True)


def test_backtest_when_a_file_is_in_local_time_then_is_refused(
    program: Program, tmp_path: Path
) -> None:
    """A time without its zone is nobody's time."""
    done = program(file=write(tmp_path / "local.csv", zone=""))
    assert done.exit_code == 1
    assert "ts_event of row 1" in " ".join(done.output.split())


def test_backtest_when_it_only_warms_up_then_says_so(program: Program, tmp_path: Path) -> None:
    """A short file has no result, and that is the result."""
    done = program("--no-report", file=write(tmp_path / "short.csv", n_bars=100))
    assert done.exit_code == 0, done.output
    assert "Nothing but warming up" in done.stderr


def test_sweep_when_run_then_compares_configurations(program: Program, tmp_path: Path) -> None:
    """Each has a folder; the comparison is on the terminal and in one page."""
    out = tmp_path / "sweep"
    done = program(f"--out={out}", "--sweep=risk.max_order_fraction=0.02,0.1")
    assert done.exit_code == 0, done.output
    names = {"max_order_fraction-0.02", "max_order_fraction-0.1"}
    assert {path.name for path in out.iterdir()} == {*names, "logs", "report.html"}
    page = (out / "report.html").read_text()
    assert all(f"<td>{name}</td>" in page for name in names)
    hashes = {json.loads((out / name / "summary.json").read_text())["hash"] for name in names}
    assert len(hashes) == 2


def test_notebook_when_run_on_results_then_every_cell_works(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example reads the files that the command writes."""
    out = tmp_path / "out"
    assert program(f"--out={out}").exit_code == 0
    monkeypatch.setenv("BACKTEST", str(out))
    monkeypatch.setenv("MPLBACKEND", "svg")
    cells = json.loads((Path(__file__).parents[4] / "docs" / "backtest.ipynb").read_text())["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)  # noqa: S102  our own example
    assert len(names["decisions"]) == 2 * N_BARS  # type: ignore[arg-type]  a table
    assert str(names["portfolio"]) == "main"


def test_backtest_when_no_models_are_named_then_fits_on_what_came_before(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts begins where the fit ends; the stack keeps what was fitted by its digest."""
    assert program("--from=2025-01-01T00:00:00Z").exit_code == 1
    (digest,) = Artifacts(tmp_path / "default" / "artifacts").list_models()
    fitted: list[int] = []

    def fit(_tape: object, stretch: Stretch, *_: object) -> tuple[str, bool]:
        fitted.append(stretch.last_close_ns)
        return digest, True

    monkeypatch.setattr(backtest, "models_for", fit)
    file = write(tmp_path / "long.csv", n_bars=1_640)
    begin_ns = MIDNIGHT + 1_600 * MINUTE
    options = (f"--out={tmp_path / 'out'}", f"--from={format_ns(begin_ns)}", "--json")
    done = CliRunner().invoke(
        whole_program(), ["backtest", f"--file={file}", *options, "--no-report"]
    )
    assert done.exit_code == 0, done.output
    assert set(fitted) == {begin_ns - 1}
    assert json.loads(done.stdout)["portfolios"]["main"]["sheet"]["first_ns"] == begin_ns
