"""The bars that questions are answered from: at hand, and read again after a restart."""

from pathlib import Path

from streams.epochs import Portfolio
from tests.builders import FREE, MIDNIGHT, MINUTE
from tests.unit.agents.test_risk import SYMBOLS, World, all_at, read


def test_fold_when_restarted_then_the_last_bar_can_be_asked_about(tmp_path: Path) -> None:
    """Progress stops before its slices; read again they decide nothing, and are known."""
    world = World(tmp_path).warm()
    log = [*world.bar(1, all_at(100.0)), *world.bar(2, all_at(101.0))]
    sent = world.run.take_with_restart_at(4, log)
    assert len(read(sent)) == 2 * len(SYMBOLS)
    book = world.run.fold.look("main")  # type: ignore[attr-defined]  risk's own
    close_ns = MIDNIGHT + 2 * MINUTE
    rows = [book.recent.newest(symbol, close_ns) for symbol in SYMBOLS]
    assert [(row.symbol, row.close_ns, row.close) for row in rows] == [
        (symbol, close_ns, 101.0) for symbol in SYMBOLS
    ]
    world.run.persist()
    assert world.run.resume_at == log[2].offset


def test_fold_when_a_portfolio_ended_then_it_holds_no_progress_back(tmp_path: Path) -> None:
    """Only those that have seen the newest bar are read again for it."""
    both = (Portfolio(id="main", limits=FREE), Portfolio(id="old", limits=FREE))
    world = World(tmp_path, portfolios=both)
    world.run.take([*world.bar(1, all_at(100.0)), *world.bar(1, all_at(100.0), "old")])
    later = world.bar(2, all_at(100.0))
    world.run.take(later)
    world.run.persist()
    assert world.run.resume_at == later[0].offset
