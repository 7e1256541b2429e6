"""``api-fuzz`` and ``auth-cases``: requests made from the published document, and forged tokens.

Schemathesis makes valid and broken requests for every endpoint of the document and holds each
answer against it. Callers take turns, so that the limits stay on and do not hide what lies behind
them.
"""

import asyncio
import itertools
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

import aiohttp
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import HypothesisDeprecationWarning
from schemathesis import GenerationMode
from schemathesis.checks import positive_data_acceptance
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup

from agents.cli.live_plan import LivePlan
from agents.run.stores import database
from agents.run.workers import free_port
from streams.clock import monotonic_s, run_stamp, wall_ns
from streams.instructions import Role
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tables.views.endpoint import DEADLINE_HEADER
from tests.attacks import Forge, answer_to
from tests.e2e.serving import Served, served
from tests.evidence.bench import models, stack
from tests.evidence.measurement import Measurement, Result
from tests.evidence.serving import TAPE
from tests.may_call import NOBODY, REFUSED, ROLES, Deed, deeds_of, may

CASES = 2_000
_CALLERS = 400
_UNKNOWN: Iterator[dict[str, str]] = itertools.repeat({})
# That what fits the schema is accepted: whether a symbol is traded, a quantity a multiple of its
# lot or a bar still kept, no schema can say.
_EXCLUDED = [positive_data_acceptance]
# What aiohttp reads of a header, in bytes.
_LONGEST_HEADER = 8_190
_OF_LEARNING = "/api/v1/models/online-update"
# What answers when a part is up.
_READY = {"learning": "/api/v1/openapi.json", "rollout": "/api/v1/rollouts", "web": "/health"}
# Of a deadline that is none.
_DIGITS = 6


Found = dict[str, Any]


async def _world(servers: str, home: Path, judge: Callable[[Served], Found]) -> Found:
    name = f"fuzz-{run_stamp()}"
    async with served(servers, home, models(home), name, tape=TAPE) as api:
        run, start = api.trial.run, api.trial.children.start
        await asyncio.to_thread(database, home, api.trial.children)
        epoch = Epochs(Artifacts(run.artifacts)).put(run.epoch)
        LivePlan([epoch], name, 0, 0).keep(home)  # of which the role rollout moves models
        for part in ("learning", "rollout", "web"):
            api.ports[part] = free_port("127.0.0.1")
        of_run = (f"--bootstrap={run.bootstrap_servers}", f"--run={run.name}")
        guarded = (f"--auth={api.keys.folder}", f"--stack={api.stack}")
        learner = (f"--name={home.name}", f"--port={api.ports['learning']}")
        start("learning", "learning", *of_run, *learner)
        mover = (
            f"--data={home / name / 'rollout'}",
            f"--artifacts={run.artifacts}",
            f"--api-port={api.ports['rollout']}",
        )
        start("rollout", "worker", "--role=rollout", *of_run, *guarded, *mover)
        pages = (
            f"--port={api.ports['web']}",
            f"--api-url={api.url('')}",
            f"--learning-url={api.url('', 'learning')}",
            f"--rollout-url={api.url('', 'rollout')}",
            f"--home={home}",
        )
        start("web", "web", *of_run, *guarded, *pages)
        for part, path in _READY.items():
            await api.trial.until(partial(_listens, api, part, path), f"the process {part}")
        return await asyncio.to_thread(judge, api)


async def _listens(api: Served, part: str, path: str) -> bool:
    try:
        async with api.session.get(api.url(path, part), headers=api.headers()) as answer:
            return answer.status == 200
    except OSError:
        return False


def _fuzz(api: Served) -> Found:
    """Play all cases at the pages' address, which passes on what a worker knows."""
    warnings.simplefilter("ignore", HypothesisDeprecationWarning)  # of its own strategies
    # Tokens are the callers' own, broken ones those of ``auth-cases``: a made up one in their place
    # would be called broken data that was accepted.
    config = SchemathesisConfig()
    config.projects.default.generation.with_security_parameters = False
    schema = schemathesis.openapi.from_url(api.url("/api/v1/openapi.json", "web"), config=config)
    callers = {
        role: itertools.cycle([api.headers(role) for _ in range(_CALLERS)])
        for role in get_args(Role)
    }
    found: dict[str, Any] = {
        "cases": {},
        "statuses": Counter(),
        "wrong": [],
        "ids": _ids(api),
        "roles": {},
    }
    for result in schema.get_all_operations():
        operation = result.ok()
        role = _least(operation.definition.raw["x-roles"])
        counted, wrong_before, begun_s = 0, len(found["wrong"]), monotonic_s()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            counted += _play(operation, mode, callers[role] if role else _UNKNOWN, found)
        found["cases"][operation.label] = counted
        found["roles"][operation.label] = role or NOBODY
        said = f"{operation.label}: {counted:,} cases in {monotonic_s() - begun_s:.0f} s"
        wrong = Counter(text.splitlines()[0] for text in found["wrong"][wrong_before:])
        sys.stderr.write(f"{said}, {wrong.total()} wrong {dict(wrong.most_common(3))}\n")
    return found


def _least(roles: list[str]) -> Role | None:
    """Return the role that may do least of those that may call, None if nobody need be known."""
    return next((role for role in get_args(Role) if role in roles), None)


def _play(
    operation: schemathesis.APIOperation,
    mode: GenerationMode,
    callers: Iterator[dict[str, str]],
    found: Found,
) -> int:
    played, ids = 0, found["ids"]

    @settings(
        max_examples=CASES // 2,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def play(case: schemathesis.Case) -> None:
        nonlocal played
        played += 1
        if mode is GenerationMode.POSITIVE and played % 2:
            _know(case, TAPE.symbols[played % len(TAPE.symbols)], ids[played % len(ids)])
        answer = case.call(headers={**_patient(case), **next(callers)})
        found["statuses"][str(answer.status_code)] += 1
        try:
            case.validate_response(answer, excluded_checks=_EXCLUDED)
        except (Exception, FailureGroup) as error:  # noqa: BLE001  every kind is a finding
            found["wrong"].append(f"{_kinds(error)}\n{operation.label}: {str(error)[:900]}")

    play()
    return played


def _ids(api: Served) -> list[str]:
    """Return ids of decisions that are there."""
    url = api.url("/api/v1/decisions?limit=50", "web")
    said = requests.get(url, headers=api.headers(), timeout=30).json()
    return [row["decision_id"] for row in said["decisions"]]


def _kinds(error: BaseException) -> str:
    """Name what is wrong: a group has several."""
    parts = error.exceptions if isinstance(error, FailureGroup) else (error,)
    return ", ".join(sorted({type(part).__name__ for part in parts}))


def _know(case: schemathesis.Case, symbol: str, decision_id: str) -> None:
    """Let a valid case speak of what is there: made up symbols, portfolios and ids end at 404."""
    if "decision_id" in (case.path_parameters or {}):
        case.path_parameters["decision_id"] = decision_id
    if "flag" in (case.path_parameters or {}):
        case.path_parameters["flag"] = "auto-advance"
    for part in (case.path_parameters, case.query, case.body):
        if isinstance(part, dict) and isinstance(part.get("symbol"), str) and part["symbol"]:
            part["symbol"] = symbol
        if isinstance(part, dict) and isinstance(part.get("portfolio"), str) and part["portfolio"]:
            part["portfolio"] = "main"


def _patient(case: schemathesis.Case) -> dict[str, str]:
    """Return a deadline that can be kept, where the case has a valid one.

    To say 504 after the one millisecond that a case allows is right, and would hide what else a
    5xx can be. Deadlines have tests of their own.
    """
    given = str((case.headers or {}).get(DEADLINE_HEADER, ""))
    is_valid = given.isascii() and given.isdigit() and len(given) < _DIGITS and int(given) > 0
    return {DEADLINE_HEADER: "30000"} if is_valid else {}


def measure() -> Result:
    """Play all cases and count answers of 5xx and those that the document does not allow."""
    with stack() as (servers, home):
        found = asyncio.run(_world(servers, home, _fuzz))
    ours = sum(n for status, n in found["statuses"].items() if status >= "500")
    wrong = found["wrong"]
    return Result(
        value=len(wrong),
        holds=not wrong and not ours and min(found["cases"].values()) >= CASES,
        n=sum(found["cases"].values()),
        parts={
            "cases": found["cases"],
            "statuses": dict(found["statuses"]),
            "roles": found["roles"],
            "answers_5xx": ours,
            "wrong": wrong[:5],
        },
    )


def _attack(api: Served) -> Found:
    """Send every forged token to a real worker, and every role to every endpoint."""
    return asyncio.run(_attacked(api))


async def _attacked(api: Served) -> Found:
    attacks = list(Forge(api.keys, api.stack, wall_ns() // 10**9).attacks())
    passed: list[str] = []
    async with aiohttp.ClientSession() as session:
        for attack in attacks:
            sent = _sendable(attack.authorization)
            request = b"GET /risk/portfolio HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            request += b"Authorization: %b\r\n\r\n" % sent
            status, _ = await answer_to("127.0.0.1", api.ports["0"], request)
            # What is longer than a header may be is refused before anybody reads it.
            if status != (401 if len(sent) <= _LONGEST_HEADER else 400):
                passed.append(f"{attack.name}: {status}")
        async with session.get(api.url("/api/v1/openapi.json")) as answer:
            deeds = deeds_of(await answer.json())
        let_in = {deed.label: await _let_in(api, session, deed) for deed in deeds}
    passed += [
        f"{role} at {deed.label}: {let_in[deed.label]} got in"
        for deed in deeds
        for role in ROLES
        if (role in let_in[deed.label]) != may(deed, role)
    ]
    return {
        "attacks": len(attacks),
        "combinations": len(deeds) * len(ROLES),
        "let_in": {label: " ".join(roles) for label, roles in let_in.items()},
        "passed": passed,
    }


async def _let_in(api: Served, session: aiohttp.ClientSession, deed: Deed) -> list[str]:
    """Return the roles that are neither unknown nor forbidden at an endpoint."""
    path = deed.path.format(
        symbol=TAPE.symbols[0],
        timeframe=TAPE.timeframe,
        decision_id="0",
        job_id="0",
        rollout_id="0",
        flag="auto-advance",
    )
    # The pages pass on what workers answer, and a worker what the learner does.
    url = api.url(path) if deed.path.startswith(_OF_LEARNING) else api.url(path, "web")
    body = {"symbol": TAPE.symbols[0], **dict(deed.body)} if deed.body else {}
    found = []
    for role in ROLES:
        headers = {} if role == NOBODY else api.headers(role)
        async with session.request(deed.method, url, headers=headers, json=body) as answer:
            if answer.status not in REFUSED:
                found.append(role)
    return found


def _sendable(text: str) -> bytes:
    """Return the bytes of a header: what would end it is left out, raw bytes are not."""
    kept = (c for c in text if c.isprintable() or _is_raw(c))
    return "".join(kept).encode(errors="surrogateescape")


def _is_raw(character: str) -> bool:
    """Tell whether a character stands for a byte that is no UTF-8 (PEP 383, 2009)."""
    return "\udc80" <= character <= "\udcff"


def measure_auth() -> Result:
    """Count what got through."""
    with stack() as (servers, home):
        found = asyncio.run(_world(servers, home, _attack))
    return Result(
        value=len(found["passed"]),
        holds=not found["passed"] and found["attacks"] >= 120,
        n=found["attacks"] + found["combinations"],
        parts={**found, "passed": found["passed"][:5]},
    )


API_FUZZ = Measurement(
    "api-fuzz",
    "wrong answers",
    "0 of >= 2,000 cases an endpoint: no 5xx, every answer as the document says",
    12.0,
    measure,
)
AUTH_CASES = Measurement(
    "auth-cases",
    "cases that got through",
    "0 of >= 120 forged tokens and of every role at every endpoint of the document",
    2.0,
    measure_auth,
)
