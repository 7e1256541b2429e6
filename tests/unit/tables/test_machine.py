"""What is said of the machine that decided."""

import platform
from pathlib import Path

import numpy as np
import pytest

from tables import machine as module
from tables.machine import machine


def test_machine_when_asked_then_names_what_may_show_in_a_bit() -> None:
    """Processor, BLAS and versions; plain JSON values."""
    found = machine()
    assert found["numpy"] == np.__version__
    assert found["python"] == platform.python_version()
    assert "blas" in found["blas"].lower()
    assert found["processor"]


def test_machine_when_the_system_has_no_cpuinfo_then_asks_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other systems name their processor elsewhere."""
    monkeypatch.setattr(module, "_CPUINFO", tmp_path / "none")
    monkeypatch.setattr(platform, "processor", lambda: "mill")
    assert machine()["processor"] == "mill"
