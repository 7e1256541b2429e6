"""Who may call what, written by hand: what is not here, nobody may.

It is not made from the routes, which say what the program thinks; an endpoint that somebody adds
fails the tests until he has written down here who is meant to call it.
"""

from typing import Any, NamedTuple

NOBODY = "nobody"
ROLES = (NOBODY, "trader", "researcher", "admin")

_ALL = frozenset(ROLES)
_KNOWN = frozenset({"trader", "researcher", "admin"})
_ADMIN = frozenset({"admin"})


class Deed(NamedTuple):
    """A request: method, path as the document has it, and what is special about its body."""

    method: str
    path: str
    body: tuple[tuple[str, Any], ...] = ()

    @property
    def label(self) -> str:
        """What a table calls it."""
        special = [f"{name}={value}" for name, value in self.body]
        return " ".join([self.method, self.path, *special])


UNCHECKED = (("risk_check", False),)

MAY: dict[Deed, frozenset[str]] = {
    Deed("GET", "/api/v1/health"): _ALL,
    Deed("GET", "/api/v1/models"): _KNOWN,
    Deed("GET", "/api/v1/features/{symbol}/{timeframe}"): _KNOWN,
    Deed("GET", "/regime/probabilities"): _KNOWN,
    Deed("GET", "/risk/portfolio"): _KNOWN,
    Deed("POST", "/risk/check"): _KNOWN,
    Deed("POST", "/api/v1/predict"): _KNOWN,
    Deed("POST", "/api/v1/predict", UNCHECKED): frozenset({"researcher", "admin"}),
    Deed("GET", "/api/v1/decisions"): _KNOWN,
    Deed("GET", "/api/v1/decisions/{decision_id}"): _KNOWN,
    Deed("GET", "/api/v1/forensics"): _KNOWN,
    Deed("GET", "/api/v1/forensics/{decision_id}"): _KNOWN,
    Deed("POST", "/api/v1/models/online-update"): _ADMIN,
    Deed("GET", "/api/v1/models/online-update/{job_id}"): _ADMIN,
    Deed("POST", "/api/v1/models/online-update/{job_id}/cancel"): _ADMIN,
    Deed("GET", "/api/v1/rollouts"): _KNOWN,
    Deed("POST", "/api/v1/rollouts"): _ADMIN,
    Deed("POST", "/api/v1/rollouts/{rollout_id}/advance"): _ADMIN,
    Deed("POST", "/api/v1/rollouts/{rollout_id}/hold"): _ADMIN,
    Deed("POST", "/api/v1/rollouts/{rollout_id}/resume"): _ADMIN,
    Deed("POST", "/api/v1/rollouts/{rollout_id}/rollback"): _ADMIN,
    Deed("POST", "/api/v1/rollouts/flags/{flag}"): _ADMIN,
}

REFUSED = frozenset({401, 403})


def deeds_of(document: dict[str, Any]) -> list[Deed]:
    """Return every endpoint of a published document, and the special ones of the table."""
    found = [
        Deed(method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
    ]
    return [*found, *(deed for deed in MAY if deed.body)]


def may(deed: Deed, role: str) -> bool:
    """Tell whether a role is meant to be let in; denied by default."""
    return role in MAY.get(deed, frozenset())
