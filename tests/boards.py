"""The program that writes the dashboards, for tests: it lies in a folder that is no package."""

import sys
from importlib import import_module
from types import ModuleType

import pytest

from tests.alerts import DOCKER


def program() -> ModuleType:
    """Return the program; without Grafana's builders the tests that ask for it are skipped."""
    pytest.importorskip("grafana_foundation_sdk", reason="the extra dashboards is not installed")
    folder = str(DOCKER / "grafana")
    sys.path.insert(0, folder)
    try:
        return import_module("boards")
    finally:
        sys.path.remove(folder)
