"""What a decision about an intent must show of it, whatever the book makes of the rest."""

from typing import Any

_REGIMES = ("bull", "bear", "sideways")


def shown(said: dict[str, Any], decision: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what is found and what is expected, by the name of a field.

    An order keeps its side, and its size where it was not reduced. A target keeps all that the
    models said of it; what still warms up is told as 0.
    """
    found = {
        "symbol": (decision["symbol"], said["symbol"]),
        "intent_id": (decision["intent_id"], said["intent_id"]),
    }
    note = decision["note"]
    if said["record"] == "order_intent":
        found["action"] = (decision["action"], said["side"])
        if note != "REDUCED_TO_LIMIT":
            found["quantity"] = (float(decision["quantity"]), float(said["quantity"]))
        return found
    *shares, entropy_bits = map(float, said["regime"])
    for name, wanted in zip(_REGIMES, shares, strict=True):
        found[f"regime_probs.{name}"] = (float(decision["regime_probs"][name]), wanted)
    found["entropy_bits"] = (float(decision["entropy_bits"]), entropy_bits)
    for name, weight in zip(_REGIMES, said["weights"], strict=True):
        there = decision["strategy_weights"][f"{name}_specialist"]
        found[f"strategy_weights.{name}"] = (float(there), float(weight))
    for name in ("confidence", "target_fraction"):
        wanted = 0 if note == "WARMING_UP" else said[name]
        found[name] = (float(decision[name]), float(wanted))
    warm = [float(value) for value in said["features"] if value is not None]
    found["features"] = ([float(value) for value in decision["features"].values()], warm)
    return found
