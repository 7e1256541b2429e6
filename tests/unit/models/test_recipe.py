"""What names a model set beside its bars: every setting of fitting, in plain values."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from models import recipe
from models.regime import mixture_settings
from models.specialists import settings
from models.weights import policy_gradient


def test_config_when_written_then_json_gives_it_back() -> None:
    """What is compared with stored metadata must survive being stored."""
    assert json.loads(json.dumps(recipe.config(), allow_nan=False)) == recipe.config()


@pytest.mark.parametrize("module", [mixture_settings, settings, policy_gradient])
def test_config_when_any_default_changes_then_differs(
    module: Any,  # noqa: ANN401  a module with DEFAULTS
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Models that were fitted with other settings are not found under the new ones."""
    before, defaults = recipe.config(), module.DEFAULTS
    for field in fields(defaults):
        changed = replace(defaults, **{field.name: getattr(defaults, field.name) + 1})
        monkeypatch.setattr(module, "DEFAULTS", changed)
        assert recipe.config() != before, field.name
