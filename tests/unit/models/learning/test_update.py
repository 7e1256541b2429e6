"""One update: moves what it may, holds what it must, and is the same every time."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from models.errors import HistoryTooShort, NotFinite, NotFitted
from models.learning import update as updating
from models.learning.settings import RECOMMENDED, SAFE
from models.specialists.fitting import Past, Samples
from models.specialists.network import imported
from models.specialists.serving import Specialists
from tests.unit.models.learning.worlds import World, no_rows, rows_of, world

FREE = replace(RECOMMENDED, strength=0.0, batch_rows=32, passes=2)
HELD = replace(FREE, strength=1.0, prior=0.5)


@pytest.fixture(scope="module")
def made() -> World:
    """Draw a world once."""
    return world()


def updated(made: World, settings: updating.Settings, seed: int = 5) -> updating.Update:
    """Update the base of a world on its window."""
    return updating.update(
        made.base.specialists, made.base, rows_of(made), settings=settings, seed=seed
    )


def as_bytes(specialists: Specialists) -> list[bytes]:
    """List the bytes of every array and number."""
    return [np.asarray(value).tobytes() for value in specialists]


def flat(specialists: Specialists, regime: int) -> torch.Tensor:
    """Lay the weights of a regime's only network end to end."""
    (network,) = imported(specialists, regime)
    return torch.cat([value.detach().flatten() for value in network.parameters()])


def test_update_when_nothing_holds_then_learns_the_rule(made: World) -> None:
    """The loss on the window falls, and the reported losses are those of the networks."""
    done = updated(made, FREE)
    assert done.loss_after < done.loss_before
    for specialists, told in (
        (made.base.specialists, done.loss_before),
        (done.specialists, done.loss_after),
    ):
        losses = []
        for regime in range(3):
            (network,) = imported(specialists, regime)
            weights = made.samples.weights[:, regime]
            said = network(made.samples.inputs, *made.samples.windows(made.past))
            losses.append(
                binary_cross_entropy_with_logits(
                    said, made.samples.labels, weight=weights / weights.sum(), reduction="sum"
                ).item()
            )
        assert told == pytest.approx(np.mean(losses), 1e-12)
    assert done.penalty == 0.0


def test_is_learning_when_a_thousandth_is_reached_then_says_so(made: World) -> None:
    """A thousandth of the length is learning, less is none."""
    done = updated(made, SAFE)
    assert done._replace(from_base_fraction=1e-3).is_learning
    assert not done._replace(from_base_fraction=0.999e-3).is_learning


def test_update_when_held_then_moves_less_and_pays_the_penalty_of_the_formula(made: World) -> None:
    """Half of lambda times F times the squared distance, F of mean one plus the prior."""
    done = updated(made, HELD)
    assert 0.0 < done.from_base_fraction < updated(made, FREE).from_base_fraction
    penalties, apart, length = [], 0.0, 0.0
    for regime in range(3):
        there, here = (flat(s, regime) for s in (made.base.specialists, done.specialists))
        information = flat(made.base.information, regime)
        penalties.append(
            0.5 * float(((information / information.mean() + 0.5) * (here - there) ** 2).sum())
        )
        apart += float(((here - there) ** 2).sum())
        length += float((there**2).sum())
    assert done.penalty == pytest.approx(np.mean(penalties), 1e-9)
    assert done.from_base_fraction == pytest.approx(np.sqrt(apart / length), 1e-9)
    assert done.moved_fraction == done.from_base_fraction


def test_update_when_repeated_then_gives_the_same_bytes(made: World) -> None:
    """A rebuilt model has the same digest, whatever was drawn before."""
    once = updated(made, HELD)
    torch.rand(3)
    assert as_bytes(updated(made, HELD).specialists) == as_bytes(once.specialists)
    assert as_bytes(updated(made, HELD, seed=6).specialists) != as_bytes(once.specialists)


def test_update_when_rows_are_many_then_never_holds_the_windows_of_all(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A month of minutes is cut into windows by tiles; whole they took a GB a day of bars."""
    whole = updated(made, HELD)
    asked: list[int] = []
    windows = Samples.windows

    def counted(samples: Samples, past: Past) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(len(samples.labels))
        return windows(samples, past)

    monkeypatch.setattr(Samples, "windows", counted)
    monkeypatch.setattr(updating, "TILE_ROWS", 50)
    tiled = updated(made, HELD)
    assert max(asked) == 50
    assert as_bytes(tiled.specialists) == as_bytes(whole.specialists)
    assert (tiled.loss_before, tiled.loss_after) == pytest.approx(
        (whole.loss_before, whole.loss_after), 1e-12
    )


def test_update_when_at_the_promised_numbers_then_is_nearly_frozen(made: World) -> None:
    """One update at a rate of 1e-5 stays within a thousandth, and the alarm says so."""
    done = updated(made, SAFE)
    assert 0.0 < done.from_base_fraction < 1e-3
    assert not done.is_learning
    assert done.penalty > 0.0
    assert updated(made, HELD).record()["is_learning"] is True


def test_update_when_networks_have_members_then_each_is_updated_alone(made: World) -> None:
    """Side by side is only faster: every network ends where it would without the others."""
    many = world(members=2)
    done = updated(many, HELD)
    one = made.base.specialists
    alone = Specialists(
        *(
            value[::2] if name not in {"mean", "scale", "clip"} else value
            for name, value in many.base.specialists._asdict().items()
        )
    )
    information = Specialists(
        *(
            value[::2] if name not in {"mean", "scale", "clip"} else value
            for name, value in many.base.information._asdict().items()
        )
    )
    single = updating.update(
        alone, updating.Base(alone, information), rows_of(many), settings=HELD, seed=5
    )
    assert len(alone.biases_3) == len(one.biases_3)
    assert done.specialists.weights_1[::2] == pytest.approx(single.specialists.weights_1, abs=1e-12)


def test_update_when_it_stops_nowhere_then_tells_its_share(made: World) -> None:
    """Progress rises to one, and what it raises ends the update: that is how one is cancelled."""
    heard: list[float] = []
    updating.update(
        made.base.specialists,
        made.base,
        rows_of(made),
        settings=HELD,
        seed=5,
        progress=heard.append,
    )
    assert heard == sorted(heard)
    assert heard[-1] == 1.0

    def stop(_share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        updating.update(
            made.base.specialists,
            made.base,
            rows_of(made),
            settings=HELD,
            seed=5,
            progress=stop,
        )


def test_update_when_the_window_is_empty_then_is_refused(made: World) -> None:
    """No row, no update."""
    with pytest.raises(HistoryTooShort, match="no row with all features"):
        updating.update(made.base.specialists, made.base, no_rows(made), settings=SAFE, seed=5)


def test_update_when_nothing_would_hold_then_is_refused(made: World) -> None:
    """A penalty of nothing although the weights moved is a defect, found while it runs."""
    idle = Specialists(
        *(
            np.zeros_like(value) if isinstance(value, np.ndarray) else value
            for value in made.base.information
        )
    )
    with pytest.raises(NotFitted, match="the penalty was 0"):
        updating.update(
            made.base.specialists,
            updating.Base(made.base.specialists, idle),
            rows_of(made),
            settings=replace(HELD, normalised=False, prior=0.0),
            seed=5,
        )


def test_update_when_weights_diverge_then_is_refused(made: World) -> None:
    """Infinite weights never leave the update."""
    with pytest.raises(NotFinite, match="expected a smaller product"):
        updated(made, replace(HELD, learning_rate=1e200))


def test_information_when_outputs_are_certain_then_is_refused(made: World) -> None:
    """Networks whose outputs depend on nothing would not be held by anything."""
    silent = made.base.specialists._replace(
        biases_3=np.full_like(made.base.specialists.biases_3, 1e4)
    )
    with pytest.raises(NotFitted, match="information of a bull network was nothing"):
        updating.information(silent, made.past, made.samples)
