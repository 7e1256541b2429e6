"""What a stack runs live, and where: kept in its folder, read by whoever starts or asks a role."""

from pathlib import Path

import msgspec

from agents.run.workers import free_port
from streams.epochs import Epoch
from streams.errors import SettingsError
from streams.settings import OFF
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts

# Role -> the field of the plan with the port at which its /metrics is.
METRICS_PORTS = {
    "worker": "worker_port",
    "clock": "clock_port",
    "archive": "archive_port",
    "forensics": "forensics_port",
    "explain": "explain_port",
    "web": "pages_port",
    "learning": "learning_metrics_port",
    "rollout": "rollout_metrics_port",
}
_LATER_PORTS = (*METRICS_PORTS.values(), "api_port", "learning_port", "rollout_port")

# Ports of roles that something starts which must know them before: a container, a unit, a pod.
# `tradewind up` takes free ones.
FIXED_PORTS = {
    "worker_port": 6066,
    "web_port": 8090,
    "api_port": 8091,
    "learning_port": 8092,
    "rollout_port": 8093,
    "clock_port": 9101,
    "archive_port": 9102,
    "forensics_port": 9103,
    "explain_port": 9104,
    "pages_port": 9105,
    "learning_metrics_port": 9106,
    "rollout_metrics_port": 9107,
}


class LivePlan(msgspec.Struct):
    """What a stack runs live: its epochs in order of announcement, and its ports.

    ``turned_ns`` is the time of the last transition of a rollout that became an epoch, and
    ``taken_back`` are the models whose rollout went back, and that went through none since.
    """

    epochs: list[str]
    label: str
    worker_port: int
    web_port: int
    archive_port: int = 0
    api_port: int = 0
    forensics_port: int = 0
    explain_port: int = 0
    learning_port: int = 0
    learning_metrics_port: int = 0
    learning: str = OFF
    clock_port: int = 0
    pages_port: int = 0
    rollout_port: int = 0
    rollout_metrics_port: int = 0
    rollouts: str = OFF
    turned_ns: int = 0
    taken_back: list[str] = []

    @classmethod
    def of(cls, home: Path) -> "LivePlan | None":
        """Return the stack's plan, None if nothing was ever started live."""
        path = home / "live.json"
        return msgspec.json.decode(path.read_bytes(), type=cls) if path.exists() else None

    def decides(self, home: Path) -> Epoch:
        """Return the epoch that decides, with its documents and models in the stack's folder."""
        return Epochs(Artifacts(home / "artifacts")).load(self.epochs[-1]).epoch

    def has(self, role: str) -> bool:
        """Tell whether a role is wanted, where that is a setting."""
        return {"learning": self.learning, "rollout": self.rollouts}.get(role) != OFF

    def complete(self, host: str) -> None:
        """Give a plan of before the ports of roles that have come since."""
        for field in _LATER_PORTS:
            if not getattr(self, field):
                setattr(self, field, free_port(host))

    def keep(self, home: Path) -> None:
        """Write the plan.

        Raises
        ------
        SettingsError
            If a rollout has made an epoch since this plan was read.
        """
        path = home / "live.json"
        there = self.of(home)
        if there is not None and there.turned_ns > self.turned_ns:
            raise SettingsError(
                f"a rollout made epoch {len(there.epochs)} of {home.name} at this moment; give the "
                "command again"
            )
        partial = path.with_suffix(".partial")
        partial.write_bytes(msgspec.json.encode(self))
        partial.replace(path)
