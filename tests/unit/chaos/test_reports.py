"""The way of venues' reports into the log: what is lost, made up or refused without reason."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.judge.letters import Letters
from tests.chaos.judge.record import Record
from tests.chaos.judge.refused_reports import report_faults
from tests.chaos.judge.reports import LOG, REPORTS, Reports
from tests.chaos.judge.verdict import Invariant

GOOD = {
    "record": "venue_execution",
    "portfolio": "venue",
    "ts_event": "2026-01-05T00:00:01Z",
    "execution_id": "e1",
    "decision_id": "d1",
    "symbol": "A",
    "kind": "fill",
    "side": "BUY",
    "quantity": 7,
    "price": 100.25,
    "fee": 0.5,
    "currency": "USD",
    "venue": "V",
    "corrects": "",
}


class Run:
    """A source of a run with one partition of each topic, in memory."""

    def __init__(self, **of: list[Record]) -> None:
        self._of = {REPORTS: of["reports"], LOG: of["log"], "dead-letters": of.get("letters", [])}

    def topics(self) -> dict[str, int]:
        """Return the topics."""
        return dict.fromkeys(self._of, 1)

    def records(self, topic: str, _partition: int) -> Iterator[Record]:
        """Return a topic's records."""
        return iter(self._of[topic])


def report(offset: int = 0, **said: Any) -> Record:  # noqa: ANN401  fields of a report
    """Return a report."""
    value = json.dumps(GOOD | said).encode()
    return Record(REPORTS, 0, offset, 0, b"venue", value, (("trace", b"t"),))


def copy(of: Record) -> Record:
    """Return the copy of a report."""
    return of._replace(topic=LOG, headers=(*of.headers, ("ts-init-ns", b"1")))


def letter(of: Record, reason: str) -> Record:
    """Return the dead letter of a report."""
    place = {"topic": REPORTS, "partition": 0, "offset": of.offset, "index": 0}
    said = {"reason": reason, "stage": "execution", **place}
    headers = tuple((name, str(value).encode()) for name, value in said.items())
    key = ":".join(map(str, place.values())).encode()
    return Record("dead-letters", 0, 0, 0, key, of.value, headers)


def broken(*, is_running: bool = False, **of: list[Record]) -> int:
    """Return how often the promise is broken."""
    flow, source = Invariant("I6", ""), Run(**of)
    Reports(source, Letters(source, flow), flow).check(is_running=is_running)
    assert flow.n_checked > 0
    return flow.n_broken


ONE, TWO, BAD = report(0), report(1, execution_id="e2"), report(2, price=0)


def test_reports_when_copied_again_or_refused_for_a_reason_then_nothing_is_broken() -> None:
    """A worker that was killed copies again; a repeat by the venue is copied as well."""
    again = ONE._replace(offset=3)
    log = [copy(r) for r in (ONE, TWO, ONE, TWO, again)]
    assert not broken(reports=[ONE, TWO, BAD, again], log=log, letters=[letter(BAD, "BAD_PRICE")])


def test_reports_when_written_in_another_way_then_are_the_same() -> None:
    """Defaults are spelt out in a copy, and a decimal is the float that is nearest to it."""
    said = {k: v for k, v in GOOD.items() if k not in {"record", "corrects"}} | {"more": 1}
    text = json.dumps(said).replace("100.25", "100.2500000000000000000001")
    assert not broken(reports=[ONE._replace(value=text.encode())], log=[copy(ONE)])


@pytest.mark.parametrize(
    ("reports", "log", "letters"),
    [
        ([ONE, TWO], [copy(ONE)], []),
        ([ONE, ONE._replace(offset=1)], [copy(ONE)], []),
        ([ONE], [copy(ONE), copy(TWO)], []),
        ([ONE], [copy(ONE), copy(ONE)._replace(key=b"main")], []),
        ([ONE], [copy(ONE), copy(report(fee=0.5000000000000001))], []),
        ([ONE], [copy(ONE), copy(ONE)._replace(headers=())], []),
        ([ONE], [], [letter(ONE, "BAD_PRICE")]),
        ([BAD], [], []),
        ([BAD], [], [letter(BAD, "BAD_FEE")]),
        ([BAD], [], [letter(BAD._replace(value=ONE.value), "BAD_PRICE")]),
        ([ONE], [copy(ONE)], [letter(TWO, "BAD_PRICE")]),
    ],
)
def test_reports_when_one_thing_is_wrong_then_it_is_found(
    reports: list[Record], log: list[Record], letters: list[Record]
) -> None:
    """Lost, lost of two, made up, of another book, changed, and dead letters without reason."""
    assert broken(reports=reports, log=log, letters=letters) == 1


def test_reports_when_the_run_goes_on_then_only_what_was_passed_over_is_missing() -> None:
    """A report behind the last copy of its portfolio is on its way."""
    three = report(2, execution_id="e3")
    assert not broken(reports=[ONE, TWO, three], log=[copy(ONE)], is_running=True)
    assert broken(reports=[ONE, TWO, three], log=[copy(ONE), copy(three)], is_running=True) == 1


@pytest.mark.parametrize(
    ("said", "faults"),
    [
        ({}, set()),
        ({"kind": "cancel", "quantity": 0, "price": -1}, set()),
        ({"record": "dividend"}, {"WRONG_TYPE"}),
        ({"side": None}, {"WRONG_TYPE"}),
        ({"fee": True}, {"WRONG_TYPE"}),
        ({"symbol": "\ud800"}, {"NOT_JSON", "WRONG_TYPE"}),
        ({"symbol": "x" * 65}, {"BAD_ID"}),
        ({"kind": "correction"}, {"BAD_ID"}),
        ({"ts_event": 1_767_571_200}, {"BAD_TIMESTAMP"}),
        ({"ts_event": "2026-01-05"}, {"BAD_TIMESTAMP"}),
        ({"quantity": 0}, {"BAD_QUANTITY"}),
        ({"price": 1e11, "fee": -1e16}, {"BAD_PRICE", "BAD_FEE"}),
    ],
)
def test_faults_when_a_report_is_read_then_are_those_that_it_has(
    said: dict[str, Any], faults: set[str]
) -> None:
    """What the venues' contract forbids, looked up by hand."""
    assert report_faults(report(**said)) == faults


def test_faults_when_headers_are_too_large_then_are_told() -> None:
    """They would go along with everything that follows."""
    large = ONE._replace(headers=(("trace", bytes(16_384)),))
    assert report_faults(large) == {"HEADERS_TOO_LARGE"}
