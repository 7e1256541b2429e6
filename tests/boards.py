"""The program that writes the dashboards, for tests: it lies in a folder that is no package."""

from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import pytest

from tests.alerts import DOCKER


def program() -> ModuleType:
    """Return the program; without Grafana's builders the tests that ask for it are skipped."""
    pytest.importorskip("grafana_foundation_sdk", reason="the extra dashboards is not installed")
    spec = spec_from_file_location("boards", DOCKER / "grafana" / "boards.py")
    if spec is None or spec.loader is None:
        raise ImportError("docker/grafana/boards.py is not there")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
