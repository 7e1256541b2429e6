"""The schemas that other people's programs are written against, and the bytes that keep them."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest

from streams import schemas
from streams.epochs import Portfolio
from streams.records import Decision, Tick
from streams.schemas import READ, WRITTEN, breaks, path_of, schema_of, text_of
from streams.schemas.__main__ import main
from tests.builders import CLOCK, FREE, MIDNIGHT, MINUTE, SECOND, beat, epoch, notice
from tests.worlds import Chain


def validator(record: type) -> jsonschema.Draft202012Validator:
    """Return the validator of a committed schema."""
    schema = json.loads(path_of(record).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("record", [*READ, *WRITTEN])
def test_schema_when_the_record_changes_then_the_file_must_follow(record: type) -> None:
    """The committed file is what the class says; ``python -m streams.schemas`` writes it anew."""
    old, new = json.loads(path_of(record).read_text()), schema_of(record)
    assert breaks(old, new, is_read=record in READ) == []
    assert path_of(record).read_text() == text_of(new), "run python -m streams.schemas"


def test_schemas_when_listed_then_every_file_has_its_record() -> None:
    """No schema outlives its record."""
    files = {path.name for path in Path(path_of(Tick)).parent.glob("*.json")}
    assert files == {path_of(record).name for record in (*READ, *WRITTEN)}


def test_main_when_run_then_writes_what_is_compatible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing and compatible files are written anew; one that others rely on is kept and named."""
    monkeypatch.setattr(schemas, "FOLDER", tmp_path)
    assert main() == 0
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        f"{record.__name__}.json": text_of(schema_of(record)) for record in (*READ, *WRITTEN)
    }
    relied_on = text_of(changed(Decision, older={"type": "string"}))
    (tmp_path / "Decision.json").write_text(relied_on)
    (tmp_path / "Tick.json").unlink()
    assert main() == 1
    assert capsys.readouterr().err == "Decision.json: Decision.older is gone\n"
    assert (tmp_path / "Decision.json").read_text() == relied_on
    assert (tmp_path / "Tick.json").exists()


def changed(record: type, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  any property
    """Return a record's schema with properties set, or taken out where None."""
    schema = copy.deepcopy(schema_of(record))
    properties = schema["$defs"][record.__name__]["properties"]
    for name, said in fields.items():
        if said is None:
            del properties[name]
        else:
            properties[name] = said
    return schema


def requiring(record: type, *names: str) -> dict[str, Any]:
    """Return a record's schema with other required fields."""
    schema = copy.deepcopy(schema_of(record))
    schema["$defs"][record.__name__]["required"] = list(names)
    return schema


@pytest.mark.parametrize(
    ("record", "new", "complaint"),
    [
        (Decision, changed(Decision, quantity=None), "Decision.quantity is gone"),
        (Decision, changed(Decision, quantity={"type": "string"}), "Decision.quantity was"),
        (Decision, requiring(Decision, "symbol"), "Decision.action is no longer required"),
        (Tick, changed(Tick, bid=None), "Tick.bid is gone"),
        (Tick, changed(Tick, symbol={"type": "integer"}), "Tick.symbol was"),
        (Tick, requiring(Tick, "symbol", "ts_event", "price"), "Tick.price is now required"),
    ],
)
def test_breaks_when_a_change_would_break_a_program_then_names_the_field(
    record: type, new: dict[str, Any], complaint: str
) -> None:
    """A field that goes, changes, loses or gains its duty is told by name."""
    found = breaks(schema_of(record), new, is_read=record in READ)
    assert any(one.startswith(complaint) for one in found)


@pytest.mark.parametrize(
    ("record", "new"),
    [
        (Decision, changed(Decision, newer={"type": "string"})),
        (Tick, changed(Tick, newer={"type": "string", "default": ""})),
        (Tick, requiring(Tick, "symbol")),
    ],
)
def test_breaks_when_a_change_is_compatible_then_is_silent(
    record: type, new: dict[str, Any]
) -> None:
    """A new field, and a duty less for producers, break nobody."""
    assert breaks(schema_of(record), new, is_read=record in READ) == []


TICKS: list[dict[str, Any]] = [
    {"symbol": "AAA", "ts_event": MIDNIGHT, "price": 1},
    {"symbol": "AAA", "ts_event": "2024-01-02T00:00:00Z", "type": "quote", "bid": 1, "ask": 2.5},
    {"symbol": "A", "ts_event": 1, "type": "bar", "open": 1, "high": 1, "low": 1, "close": 1},
    {"symbol": "AAA", "ts_event": MIDNIGHT, "price": 1, "trade_id": 5, "newer": [1]},
]


@pytest.mark.parametrize("tick", TICKS)
def test_tick_when_the_schema_allows_it_then_the_decoder_reads_it(tick: dict[str, Any]) -> None:
    """A producer that validates against the file is understood."""
    validator(Tick).validate(tick)
    assert msgspec.json.decode(json.dumps(tick), type=Tick).symbol == tick["symbol"]


@pytest.mark.parametrize(
    "tick",
    [
        {},
        {"symbol": "A"},
        {"symbol": 1, "ts_event": 1},
        {"symbol": "A", "ts_event": 1, "price": "1"},
    ],
)
def test_tick_when_the_decoder_refuses_it_then_the_schema_does(tick: dict[str, Any]) -> None:
    """Both say no to the same shapes."""
    assert not validator(Tick).is_valid(tick)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(tick), type=Tick)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Run four minutes of two symbols to the end of the chain."""
    limits = FREE
    document = epoch(portfolios=(Portfolio(id="main", limits=limits),))
    chain = Chain(tmp_path_factory.mktemp("artifacts"), document)
    chain.say(notice(chain.digest, 0), beat(0, MIDNIGHT + 2 * SECOND, 0, CLOCK))
    for minute in range(1, 5):
        for symbol, price in (("AAA", 100.0), ("BBB", 50.0)):
            at = MIDNIGHT + minute * MINUTE - 30 * SECOND
            chain.trade(symbol, at, price + minute, 10.0)
        chain.say(beat(minute, MIDNIGHT + minute * MINUTE + 2 * SECOND, 0, CLOCK))
    return chain


@pytest.mark.parametrize(
    ("topic", "record"),
    [
        ("trading-decisions", WRITTEN[2]),
        ("portfolio-snapshots", WRITTEN[4]),
    ],
)
def test_events_when_the_chain_publishes_them_then_keep_their_schema(
    run: Chain, topic: str, record: type
) -> None:
    """Every event of a run validates against the committed file."""
    values = run.values(topic)
    assert len(values) == (8 if record is Decision else 4)
    for value in values:
        validator(record).validate(json.loads(value))


def test_clock_when_it_speaks_then_keeps_its_schemas() -> None:
    """Heartbeat and epoch notice validate, and an absurd heartbeat does not."""
    heartbeat, announced = WRITTEN[0], WRITTEN[1]
    validator(heartbeat).validate(json.loads(beat(1, MIDNIGHT, 0).value or b""))
    validator(announced).validate(json.loads(notice("d", 0).value or b""))
    said = {"type": "heartbeat", "clock_id": "c", "n": -1, "ts_event_ns": 1}
    assert not validator(heartbeat).is_valid(said)


def test_decision_when_read_by_the_contract_then_has_every_name(run: Chain) -> None:
    """The customer's names and ours, with their types, in every decision."""
    kinds = {
        "event_type": str,
        "timestamp": str,
        "decision_id": str,
        "symbol": str,
        "action": str,
        "quantity": int,
        "confidence": float,
        "regime_probs": dict,
        "strategy_weights": dict,
        "features": dict,
        "risk_checks": dict,
        "approved": bool,
        "rejection_reasons": list,
        "allowed_quantity": int,
        "portfolio": str,
        "timeframe": str,
        "digests": dict,
    }
    nested = {
        "regime_probs": {"bull", "bear", "sideways"},
        "strategy_weights": {"bull_specialist", "bear_specialist", "sideways_specialist"},
        "risk_checks": {"position_limit_ok", "concentration_ok", "correlation_ok"},
        "digests": {"schema", "feature_pipeline", "models", "limits", "universe"},
    }
    for value in run.values("trading-decisions"):
        decision = json.loads(value)
        assert {name: type(decision[name]) for name in kinds} == kinds
        assert {name: set(decision[name]) for name in nested} == nested
        assert decision["action"] in {"BUY", "SELL", "HOLD"}
        for name in ("regime_probs", "strategy_weights"):
            assert np.isclose(sum(decision[name].values()), 1.0, atol=1e-9)
    assert run.letters == []
