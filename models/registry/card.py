"""The card of a model set: from what it was fitted, what it may be used for, how well it does.

After Mitchell et al. 2019, *Model cards for model reporting*. Nothing is measured here; the card
says what the metadata says, and names what the metadata does not know.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from models.errors import NotFitted

UNKNOWN = "not recorded"

_Row = Mapping[str, Any]

STRETCHES = {
    "training": "to learn from",
    "validation": "to stop and to calibrate by, so it flatters",
    "held_back": "nothing was fitted or chosen on it",
}

_USE = """\
Gives, for each symbol and bar, the log odds of three specialists that the next bar closes up, and a
calibrated probability of the likelier direction. Meant to propose targets to the risk stage, which
may refuse them; not meant to trade without it, on other symbols, on another timeframe, or with
another version of the features."""

_LIMITS = """\
- Fitted once, on the bars named above, and what the lineage names as an update since; markets
  change between two of them, and nothing here notices.
- A probability near one half is what an honest model of daily direction says. The hit rate stands
  beside that of always-up because it is hardly ever better.
- A rank correlation is measured before costs and is no promise of a profit.
- Symbols that died before the data was collected are not in it: levels of return flatter.
- The controller learned from networks that had not seen the bars that they scored: one to a regime,
  fitted on half of the training bars, so weaker than those that serve. The regimes were fitted on
  all training bars, by features alone.
- Attention says which bars a network weighed, not why the price moved.
- The same bits are promised on one type of processor and one installation only."""


def card(metadata: Mapping[str, Any], *, digest: str = "") -> str:
    """Write the card of a model set in Markdown.

    Parameters
    ----------
    metadata : mapping
        Of a ``ModelSet``, with or without the entries ``source`` and ``code`` that others add.
    digest : str
        SHA-256 under which the set is kept, if it is.

    Returns
    -------
    str
        Ends with a line break. The same metadata give the same text.

    Raises
    ------
    NotFitted
        If the metadata lack what every fit writes; the message names it.

    Examples
    --------
    >>> card({"timeframe": "1day"})
    Traceback (most recent call last):
    models.errors.NotFitted: the metadata lack symbols, first_close_ns, last_close_ns, seed, ...
    """
    needed = (
        "timeframe",
        "symbols",
        "first_close_ns",
        "last_close_ns",
        "seed",
        "fit_version",
        "pipeline_version",
        "pipeline_digest",
        "config",
        "metrics",
    )
    missing = [name for name in needed if name not in metadata]
    if missing:
        raise NotFitted(
            f"the metadata lack {', '.join(missing)}: expected those of a fitted model set"
        )
    sections = [
        f"# Model card: {len(metadata['symbols'])} symbols, {metadata['timeframe']}",
        f"## Intended use\n\n{_USE}",
        f"## Training data\n\n{_data(metadata)}",
        f"## Metrics by stretch\n\n{_metrics(metadata['metrics'])}",
        f"## Regimes\n\n{_regimes(metadata)}",
        f"## Limits\n\n{_LIMITS}",
        f"## Settings\n\n{_settings(metadata['config'])}",
        f"## Lineage\n\n{_lineage(metadata, digest)}",
    ]
    return "\n\n".join(sections) + "\n"


def _data(metadata: Mapping[str, Any]) -> str:
    first, last = (_time(metadata[name]) for name in ("first_close_ns", "last_close_ns"))
    symbols = ", ".join(metadata["symbols"])
    lines = [f"Bars of {metadata['timeframe']}, closes {first} to {last}: {symbols}."]
    stretches = _in_time_order(metadata.get("stretches", {}))
    if stretches:
        rows = [
            [
                name.replace("_", " "),
                _time(row["first_close_ns"]),
                _time(row["last_close_ns"]),
                f"{row['n_bars']:,}",
                STRETCHES.get(name, UNKNOWN),
            ]
            for name, row in stretches.items()
        ]
        lines.append(_table(["Stretch", "First close", "Last close", "Bars", "Used"], rows))
    return "\n\n".join(lines)


def _in_time_order(by_stretch: Mapping[str, _Row]) -> dict[str, _Row]:
    """Sort what stored metadata give by name."""
    known = {name: by_stretch[name] for name in STRETCHES if name in by_stretch}
    return {**known, **by_stretch}


def _metrics(by_stretch: Mapping[str, _Row]) -> str:
    metrics = _in_time_order(by_stretch)
    names = list(dict.fromkeys(name for row in metrics.values() for name in row))
    rows = [
        [name.replace("_", " "), *(_number(row.get(name)) for row in metrics.values())]
        for name in names
    ]
    return _table(["Metric", *(stretch.replace("_", " ") for stretch in metrics)], rows)


def _regimes(metadata: _Row) -> str:
    told = metadata.get("succession", {})
    entries = {
        "Earlier models": metadata.get("previous") or "none",
        "Outcome": f"{told.get('outcome', UNKNOWN)}; {told.get('why', UNKNOWN)}",
        "Agreement of names": _number(told.get("agreement_fraction")),
        "Shared rows": _number(told.get("n_shared_rows")),
    }
    if told:
        first, last = (_time(told[name]) for name in ("first_close_ns", "last_close_ns"))
        entries["Fitted on closes"] = f"{first} to {last}"
    return _list(entries)


def _settings(config: Mapping[str, Mapping[str, Any]]) -> str:
    return "\n".join(
        f"- {part}: " + ", ".join(f"`{name}` {value}" for name, value in settings.items())
        for part, settings in config.items()
    )


def _lineage(metadata: Mapping[str, Any], digest: str) -> str:
    entries = {
        "Digest": digest or UNKNOWN,
        "Code": metadata.get("code") or UNKNOWN,
        "Source of the bars": metadata.get("source") or UNKNOWN,
        "Seed": metadata["seed"],
        "Version of fitting": metadata["fit_version"],
        "Features": f"{metadata['pipeline_version']}, digest {metadata['pipeline_digest']}",
    }
    learned = metadata.get("learned")
    if learned:
        entries |= {
            "Updated from": learned["start"],
            "Held to the fit of": learned["base"],
            "Bars of the update": learned["origin"].get("source", learned["origin"]["kind"]),
        }
    return _list(entries)


def _list(entries: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in entries.items())


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(header)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _time(close_ns: int) -> str:
    return f"{np.datetime64(close_ns, 'ns').astype('datetime64[s]')}Z"
