"""What of a machine and its installation may show in the last bit of a decision."""

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

_CPUINFO = Path("/proc/cpuinfo")
_PACKAGES = ("numpy", "pyarrow", "msgspec")


def machine() -> dict[str, Any]:
    """Return processor, BLAS and versions as plain JSON values."""
    found: Any = np.show_config(mode="dicts")
    blas = found["Build Dependencies"]["blas"]
    return {
        "processor": _processor(),
        "simd": found["SIMD Extensions"].get("found", []),
        "blas": f"{blas['name']} {blas['version']}",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: metadata.version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
