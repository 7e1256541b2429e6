"""Results of long measurements, kept so that an interrupted one goes on: n adds up."""

import hashlib
from pathlib import Path

PRODUCT = ("streams", "models", "tables", "agents")


def kept_path(name: str, *rooms: str, product: tuple[str, ...] = PRODUCT) -> Path:
    """Return where a measurement notes how far it is; other sources of the product begin anew."""
    digest = hashlib.sha256()
    for room in (*product, *rooms):
        for source in sorted(Path(room).rglob("*.py")) or [Path(room)]:
            digest.update(source.read_bytes())
    return Path("build", "evidence", f"{name}-{digest.hexdigest()[:16]}.json")
