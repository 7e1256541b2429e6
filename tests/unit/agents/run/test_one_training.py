"""A second training waits for the first, and says so."""

from pathlib import Path
from threading import Event, Thread

from agents.run.one_training import one_training


def test_training_when_another_runs_then_waits_and_shows_it(tmp_path: Path) -> None:
    """Also that of another stack: they share the machine."""
    order, waits = list[str](), Event()

    def second() -> None:
        def told(step: str, share: float) -> None:
            order.append(f"{step} {share:g}")
            waits.set()

        with one_training(tmp_path / "b", told):
            order.append("second")

    thread = Thread(target=second)
    with one_training(tmp_path / "a", lambda step, _share: order.append(step)):
        thread.start()
        assert waits.wait(10.0)
        order.append("first ends")
    thread.join(10.0)
    wait = "wait for another training"
    assert order == [f"{wait} 0", "first ends", f"{wait} 1", "second"]
