"""axe-core (MPL-2.0), which checks pages for accessibility: fetched once from npm, by checksum."""

import base64
import functools
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

from streams.brokers.homes import cache_home, private_folder

ALL = '["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]'
"""What every page is held to."""

VERSION = "4.14.1"
# Subresource integrity of the package, as the registry states it.
_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
_FETCH_S = 120
_SCRIPT = "package/axe.min.js"


@functools.cache
def axe_source() -> str:
    """Return the script; skip the test where there is neither a cached package nor npm."""
    package = private_folder(cache_home() / "axe-core") / f"axe-core-{VERSION}.tgz"
    if not package.exists():
        _fetch(package)
    data = package.read_bytes()
    digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
    assert digest == _SHA512, f"{package} has sha512 {digest}, expected {_SHA512}; delete it"
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        script = archive.extractfile(_SCRIPT)
        assert script is not None
        return script.read().decode()


# A button that fades in has the contrast of the moment: a page is looked at when it is at rest.
_AT_REST = """Promise.all(document.getAnimations()
    .filter((each) => Number.isFinite(each.effect.getComputedTiming().endTime))
    .map((each) => each.finished.catch(() => null)))"""


def violations(checks: str) -> str:
    """Return the expression that tells which checks a page fails at rest, and where."""
    return f"""{_AT_REST}.then(() => axe.run(document, {{runOnly: {checks}}})).then(
        (found) => found.violations.map((each) =>
            each.id + ": " + each.nodes.map((node) => node.failureSummary).join(" | ")))"""


def _fetch(package: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not on PATH, which fetches axe-core: apt-get install npm")
    with tempfile.TemporaryDirectory(dir=package.parent) as folder:
        words = [npm, "pack", f"axe-core@{VERSION}", "--pack-destination", folder]
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=_FETCH_S, check=False
        )
        if done.returncode:
            pytest.skip(f"npm could not fetch axe-core {VERSION}: {done.stderr.strip()[-200:]}")
        (Path(folder) / package.name).replace(package)
