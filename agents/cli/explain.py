"""``tradewind explain``: why it was decided, and whether record and decision hold."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from agents.cli import book_access
from agents.cli.audit import running_database
from agents.cli.book_log import BookLog
from agents.cli.recompute import Recomputed, limits_of, recompute
from agents.cli.spoken import spoken_errors
from agents.run.divergence import Slot, compared
from agents.run.rebuilt import rebuild
from streams.brokers import stack_home, stack_id
from streams.codec import StateError
from streams.errors import SettingsError
from streams.explanation import Explanation
from streams.records import Decision
from streams.timestamps import format_ns, parse_ns
from tables.archive import run_key
from tables.audit_rows import AuditRow
from tables.checkpoint import Checkpoint
from tables.explanations import read_decision
from tables.stores.audit_reader import AuditReader
from tables.stores.run_checkpoints import RunCheckpoints
from tables.views.decision_row import is_decision_id
from tables.views.forensics import audited_of, known_of

_SHOWN_FEATURES = 8
_DIFFERS, _NOT_REBUILT = 1, 3


class Answer(msgspec.Struct):
    """What is known of a decision; the rest where it was asked for.

    ``recomputed`` is the book's part, from its log; ``rebuilt`` the whole chain's, from the ticks.
    """

    decision: dict[str, Any]
    explanation: Explanation
    is_stored: bool
    audit: dict[str, Any]
    recomputed: dict[str, Any] | None = None
    rebuilt: dict[str, Any] | None = None
    what_if: dict[str, Any] | None = None


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(explain)


def explain(
    decision_id: Annotated[str, typer.Argument(help="Id of a decision, from the page or a topic.")],
    what_if: Annotated[
        list[str] | None,
        typer.Option("--what-if", help="risk.KEY=VALUE, a limit; may be given several times."),
    ] = None,
    stack: book_access.Stack = "default",
    run: book_access.Run = "",
    *,
    again: Annotated[
        bool, typer.Option("--recompute", help="Make it again from ticks and log; compare bytes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Say why a decision was made.

    Exit status: 0, 1 if it comes again with other bytes or something failed, 3 if --recompute could
    not rebuild it because no beginning is kept, with the ticks or bars behind it.
    """
    limits = {}
    with spoken_errors():
        limits = limits_of(what_if or [])
        if not is_decision_id(decision_id):
            raise SettingsError(
                f"the id was {decision_id!r}; expected a UUID, as the field decision_id of a "
                "decision or its page has it"
            )
        row, said = _told(decision_id, stack, run)
        log = book_access.log_of(stack, run) if again or limits else None
        if log is not None:
            name, home = row.portfolio or "", stack_home(stack)
            nearest = RunCheckpoints(home, log.run).nearest(_slot_of(row).ts_ns, {})
        if log is not None and again:
            made = _again(log, name, decision_id, {}, nearest)
            said.recomputed = _compared(row, made)
            said.rebuilt = _rebuilt(row, log, home)
        if log is not None and limits:
            other = _again(log, name, decision_id, limits, nearest)
            said.what_if = {"limits": limits, **_verdict(read_decision(other.value))}
    if as_json:
        typer.echo(msgspec.json.encode(said).decode())
    else:
        typer.echo("\n".join(lines(said)))
    raise typer.Exit(status_of(said))


def status_of(said: Answer) -> int:
    """Return how the command ends: what was not made again is no success either."""
    made = [each["is_identical"] for each in (said.recomputed, said.rebuilt) if each is not None]
    if False in made:
        return _DIFFERS
    return _NOT_REBUILT if None in made else 0


def _told(decision_id: str, stack: str, run: str) -> tuple[AuditRow, Answer]:
    home = stack_home(stack)
    with running_database(stack) as server:
        reader = AuditReader(server, run_key(stack_id(home), run))
        return asyncio.run(_answer(reader, home, decision_id))


async def _answer(reader: AuditReader, home: Path, decision_id: str) -> tuple[AuditRow, Answer]:
    audited = await audited_of(reader, decision_id)
    if audited is None:
        raise SettingsError(
            f"run {reader.of.run} of stack {reader.of.stack} has no decision {decision_id} in SQL; "
            "one of more than a week ago comes back with: tradewind audit restore DAY"
        )
    known = await known_of(reader, home, audited)
    document = msgspec.to_builtins(known.decision)
    audit = msgspec.to_builtins(known.audit)
    return known.row, Answer(document, known.explanation, known.is_stored, audit)


def _again(
    log: BookLog, name: str, decision_id: str, limits: dict[str, Any], nearest: Checkpoint | None
) -> Recomputed:
    try:
        return asyncio.run(recompute(log, name, decision_id, limits, nearest))
    except StateError:
        if nearest is None:
            raise
        # The account in it is another version's.
        return asyncio.run(recompute(log, name, decision_id, limits))


def _compared(row: AuditRow, made: Recomputed) -> dict[str, Any]:
    return {
        "is_identical": made.value == row.value,
        "differs_in": [name for name, _, _ in compared(row.value, made.value)],
        "begin": made.begin,
        "beginning": made.beginning,
        "offset": made.offset,
    }


def _slot_of(row: AuditRow) -> Slot:
    said = read_decision(row.value or b"")
    return Slot(parse_ns(said.timestamp), said.symbol, said.portfolio, said.decision_id)


def _rebuilt(row: AuditRow, log: BookLog, home: Path) -> dict[str, Any]:
    made = rebuild(home, log.servers, log.run, _slot_of(row), row.value or b"")
    return {
        # None: nothing is left from which it could be made.
        "is_identical": made.value == row.value if made.topic else None,
        "differs_in": [name for name, _, _ in compared(row.value, made.value)]
        if made.topic
        else [],
        "topic": made.topic,
        "checkpoint": format_ns(made.begin_ns) if made.begin_ns else None,
        "begins": made.begins,
        "ends": made.ends,
        "earliest_stage": made.stage,
        "missing": made.missing,
    }


def _verdict(decision: Decision) -> dict[str, Any]:
    return {
        "action": decision.action,
        "quantity": decision.quantity,
        "approved": decision.approved,
        "allowed_quantity": decision.allowed_quantity,
        "refused_by": [each.code for each in decision.rejection_reasons],
    }


def lines(said: Answer) -> list[str]:
    """Return an answer for people."""
    decision, why = said.decision, said.explanation
    verdict = "approved" if decision["approved"] else "refused"
    slot = " ".join(decision[key] for key in ("portfolio", "symbol", "timeframe", "timestamp"))
    told = [
        f"{slot}: {decision['action']} {decision['quantity']:g}, {verdict}",
        *(f"  {each.code}: {each.message}" for each in why.refused_by),
    ]
    if why.counterfactual is not None:
        passes = f"{why.counterfactual.quantity:g}" if why.counterfactual.quantity else "nothing"
        told.append(f"  Would have passed: {passes} ({why.counterfactual.change:+g}).")
    told += _model_lines(why) if why.explained == "model" else [f"No model: {why.detail}."]
    audit = said.audit
    place = f"row {audit['row']} of partition {audit['partition']}"
    proof = f"proved by signed head {audit['head']}" if audit["is_proved"] else "not proved (yet)"
    told.append(f"Audit trail: {place}, {proof}.")
    if said.recomputed is not None:
        told.append(_recomputed_line(said.recomputed))
    if said.rebuilt is not None:
        told.append(_rebuilt_line(said.rebuilt))
    if said.what_if is not None:
        told.append(_what_if_line(said.what_if))
    return told


def _model_lines(why: Explanation) -> list[str]:
    checks = (
        f"reproduced to {abs(why.confidence_difference or 0):.1e}, "
        f"residual {abs(why.residual or 0):.1e}"
    )
    said = f"log odds {why.logit:+.4f}, probability up {why.probability_up:.4f}"
    told = [
        f"Models {why.models[:12]}: {said}; {checks}",
        f"  {'base, the mean of training':28} {why.base_logit:+.4f}",
        *(f"  {name:28} {part:+.4f}" for name, part in _largest(why.families)),
    ]
    if why.features:
        told.append("  Largest single inputs (estimated):")
        largest = _largest(why.features)[:_SHOWN_FEATURES]
        told += [f"    {name:26} {part:+.4f}" for name, part in largest]
    for name, each in why.specialists.items():
        looked = max(range(len(each.attention)), key=each.attention.__getitem__)
        told.append(
            f"  {name + ' specialist':28} {each.share:+.4f} = weight {each.weight:.3f} x score "
            f"{each.score:+.4f}, calibrated; regime {each.regime_probability:.3f}; looked most "
            f"({each.attention[looked]:.2f}) at {len(each.attention) - 1 - looked} bars before"
        )
    return told


def _largest(parts: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(parts.items(), key=lambda part: (-abs(part[1]), part[0]))


def _recomputed_line(made: dict[str, Any]) -> str:
    way = f"risk folded from {made['beginning']}, offsets {made['begin']} to {made['offset']}"
    if made["is_identical"]:
        return f"Recomputed: the same bytes; {way}."
    return f"Recomputed: DIFFERENT in {', '.join(made['differs_in'])}; {way}."


def _rebuilt_line(made: dict[str, Any]) -> str:
    if made["is_identical"] is None:
        return (
            f"Not rebuilt: {'; '.join(made['missing'])}. All stages are folded from a checkpoint "
            "or the run's beginning, with the ticks or bars behind it, and none of these is kept. "
            "Kept are the decision's bytes, and the log of its book as the line before says: those "
            "prove the risk part alone."
        )
    places = ", ".join(f"{a}..{b}" for a, b in zip(made["begins"], made["ends"], strict=True))
    begin = f"the checkpoint of {made['checkpoint']} and " if made["checkpoint"] else ""
    way = f"all stages folded from {begin}{made['topic']}, offsets {places}"
    if made["missing"]:
        way += f" ({'; '.join(made['missing'])})"
    if made["is_identical"]:
        return f"Rebuilt: the same bytes; {way}."
    return (
        f"Rebuilt: DIFFERENT in {', '.join(made['differs_in'])}, first in stage "
        f"{made['earliest_stage'] or 'unknown: its slices are gone'}; {way}."
    )


def _what_if_line(other: dict[str, Any]) -> str:
    limits = ", ".join(f"{key} {value}" for key, value in other["limits"].items())
    verdict = "approved" if other["approved"] else f"refused by {', '.join(other['refused_by'])}"
    return f"With {limits} from this bar on: {other['action']} {other['quantity']:g}, {verdict}."
