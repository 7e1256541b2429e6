"""The hand-over between torch and numpy."""

import numpy as np
import torch

from models.specialists import network, serving
from models.specialists.window import COLUMNS
from tests.builders import specialists

N_ROWS = 70


def test_imported_when_run_by_torch_then_scores_and_attention_equal_serving() -> None:
    """Serving in numpy and the rebuilt torch networks agree to 1e-6, in fact to rounding."""
    rng = np.random.default_rng(51)
    served = specialists(rng, n_members=2)
    features = rng.normal(size=(N_ROWS, 60)) * 2.0
    windows = rng.normal(size=(N_ROWS, 16, 8)) * 2.0
    windows[:40, :5, 3] = np.nan
    scores, attention = serving.attend(served, features, windows)
    inputs = torch.from_numpy(
        serving.standardised(features, served.mean, served.scale, served.clip)
    )
    seen = np.isfinite(windows).all(axis=2)
    scaled = serving.standardised(windows, served.mean[COLUMNS], served.scale[COLUMNS], served.clip)
    given = (
        inputs,
        torch.from_numpy(np.where(seen[..., None], scaled, 0.0)),
        torch.from_numpy(seen),
    )
    for k in range(3):
        members = network.imported(served, k)
        with torch.no_grad():
            expected = torch.stack([member(*given) for member in members]).mean(dim=0)
            looked = torch.stack([member.attention.weights(*given) for member in members])
        np.testing.assert_allclose(scores[:, k], expected.numpy(), atol=1e-12)
        np.testing.assert_allclose(attention[:, k], looked.mean(dim=0).numpy(), atol=1e-12)


def test_exported_when_imported_before_then_gives_the_same_bytes() -> None:
    """The two are inverses of each other, to the last bit."""
    served = specialists(np.random.default_rng(52), n_members=3)
    networks = [each for k in range(3) for each in network.imported(served, k)]
    again = network.exported(networks, served.mean, served.scale, served.clip)
    for name, first, second in zip(served._fields, served, again, strict=True):
        assert np.asarray(first).tobytes() == np.asarray(second).tobytes(), name
