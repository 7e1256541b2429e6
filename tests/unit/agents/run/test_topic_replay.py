"""Where ticks go when a replay has other partitions, and how fast it goes."""

import msgspec
import pytest

from agents.cli.replay import pace_of
from agents.run.certify import config_digest
from agents.run.topic_replay import homes_of
from streams.errors import SettingsError
from streams.partitions import partition_of
from streams.transport import Record
from tests.builders import epoch


def record(value: bytes, key: bytes | None = b"AAA") -> Record:
    """Return a record of ticks."""
    return Record("market-ticks", 0, 0, key, value, [])


@pytest.mark.parametrize("n_partitions", [1, 3, 8])
def test_homes_when_a_list_has_many_symbols_then_each_tick_goes_home(n_partitions: int) -> None:
    """Every tick's own bytes, once, in order, at its symbol's home."""
    ticks = [{"symbol": f"S{n % 5}", "price": n, "more": [n]} for n in range(20)]
    found = homes_of(record(msgspec.json.encode(ticks)), n_partitions)
    assert len({home for home, _ in found}) == len(found)
    placed = {home: msgspec.json.decode(value or b"") for home, value in found}
    for home, here in placed.items():
        assert here == [t for t in ticks if partition_of(t["symbol"], n_partitions) == home]
    assert sum(map(len, placed.values())) == 20


def test_homes_when_a_record_is_one_tick_then_its_bytes_stay() -> None:
    """What was recorded is sent."""
    value = b'{ "symbol": "AAA" }'
    assert homes_of(record(value), 8) == [(partition_of("AAA", 8), value)]


@pytest.mark.parametrize("value", [b"", b"garbage", b'[{"symbol": 1}]', b'[{"symbol"', b"[1]"])
def test_homes_when_a_record_cannot_be_read_then_goes_by_its_key(value: bytes) -> None:
    """It is refused there as it was, and is not lost."""
    assert homes_of(record(value, b"KEY"), 8) == [(partition_of("KEY", 8), value)]
    assert homes_of(record(value, None), 8) == [(partition_of("", 8), value)]


@pytest.mark.parametrize(("text", "pace"), [("max", 0.0), ("1x", 1.0), ("0.5x", 0.5), ("60", 60.0)])
def test_pace_when_written_then_is_a_factor(text: str, pace: float) -> None:
    """As fast as can be, as it happened, slower, faster."""
    assert pace_of(text) == pace


@pytest.mark.parametrize("text", ["", "fast", "0x", "-1x", "nan", "inf"])
def test_pace_when_it_is_none_then_is_refused(text: str) -> None:
    """With what was given and what was expected."""
    with pytest.raises(SettingsError, match="expected max, 1x or another"):
        pace_of(text)


def test_config_when_only_partitions_differ_then_is_the_same() -> None:
    """What decides nothing is no part of what is certified."""
    one, two = (epoch(n_partitions=n).document() for n in (1, 2))
    assert config_digest([one]) == config_digest([two])
    assert config_digest([one]) != config_digest([epoch(lateness_ms=1).document()])
