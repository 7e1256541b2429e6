"""``deploy-check``: compose file, units and manifests, judged without an engine or a cluster.

By the compose specification in both profiles, by systemd's own verdict where it is there, by
Kubernetes's schemas, and by our rules; every command line by the program's own parser.
"""

from tests.deployment import PROFILES, compose_faults, compose_targets, composed, target_faults
from tests.evidence.measurement import Measurement, Result
from tests.kubernetes_manifests import committed, manifest_faults, manifests, program
from tests.systemd_units import EXPOSURE_MOST, analysed, is_analysed, unit_faults, units


def measure() -> Result:
    """Judge all of it; the value is how many faults there are."""
    files = committed()
    services = [composed(profile) for profile in PROFILES]
    targets = compose_targets()
    found = manifests()
    faults = [
        *(fault for said in services for fault in compose_faults(said)),
        *(fault for said in services for fault in target_faults(said, targets)),
        *unit_faults(),
        *manifest_faults(found),
        *(f"{name} is not what its program writes" for name in _other(files)),
    ]
    exposed: dict[str, float] = {}
    if is_analysed():
        said, exposed = analysed()
        faults += [f"systemd: {line}" for line in said.splitlines()]
        faults += [f"{name} is exposed" for name, at in exposed.items() if at >= EXPOSURE_MOST]
    n_services = len(services[0]["services"])
    return Result(
        value=len(faults),
        holds=not faults,
        n=n_services + len(units()) + len(found),
        parts={
            "services": n_services,
            "profiles": list(PROFILES),
            "units": len(units()),
            "objects": len(found),
            "kinds": len({one["kind"] for one in found}),
            "systemd_asked": is_analysed(),
            "exposure_most": max(exposed.values(), default=None),
            "containers_run": 0,
            "faults": faults,
        },
    )


def _other(files: dict[str, str]) -> list[str]:
    """Return the manifests that their program would write otherwise."""
    writer = program()
    made = {name: writer.rendered(objects) for name, objects in writer.files().items()}
    return sorted(name for name in files.keys() | made if files.get(name) != made.get(name))


DEPLOY_CHECK = Measurement(
    "deploy-check",
    "faults in the compose file, the units of systemd and the manifests of Kubernetes",
    "0",
    0.5,
    measure,
)
