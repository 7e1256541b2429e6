"""Requests for decisions under way while the broker is stopped or killed.

Everybody who was answered finds his decision in the log, as he was answered, and no key has two:
whether the broker was there, was away, or the worker died before it could tell the log.
"""

import asyncio
import json
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import msgspec

from streams.failpoints import SPILL, VARIABLE
from streams.topics import TRADING_DECISIONS
from tables.stores.token_keys import TokenKeys
from tests.chaos.campaign import Played, feed, judged
from tests.chaos.faults import How, Place, Strike, Struck, away, back
from tests.chaos.judge.record import read_json
from tests.e2e.serving import Served
from tests.runs import Trial

PREDICT = "/api/v1/predict"

# The tape goes on for so long before, between and after the outages.
_BARS_BEFORE, _BARS_APART = 5, 12
_FIRST_BAR = 262
_ASKERS = 3
_TRIES = 6
_PAUSE_S = (0.02, 0.25)
_PATIENCE_MS = "1500"

_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass
class Asked:
    """What was asked and answered: by key the fields as bytes, and how often a key had none.

    ``n_aside`` are answers while the broker was away, ``n_again`` requests with a key again.
    """

    answered: dict[str, dict[str, bytes]] = field(default_factory=dict)
    n_again: int = 0
    n_aside: int = 0
    is_away: bool = False
    violations: list[str] = field(default_factory=list)

    def take(self, key: str, raw: bytes) -> None:
        """Note an answer; the same key must have the same decision for ever."""
        fields = {name: bytes(value) for name, value in _RAW.decode(raw).items()}
        before = self.answered.setdefault(key, fields)
        if before["decision_id"] != fields["decision_id"]:
            self.violations.append(f"key {key} was answered with two decisions")
        self.n_aside += self.is_away


async def ask(api: Served, asked: Asked, draw: random.Random, name: str) -> None:
    """Ask for one symbol after the other, again after an error and sometimes after an answer."""
    n = 0
    while True:
        n += 1
        key, symbol = f"{name}-{n}", draw.choice(api.trial.tape.symbols)
        for _ in range(draw.randint(1, _TRIES)):
            status, raw = await _answer(api, key, symbol)
            if status == 200:
                asked.take(key, raw)
                if draw.random() < 0.7:
                    break
            elif status not in {0, 409, 429, 503, 504}:
                asked.violations.append(f"{key} was answered {status}: {raw[:200]!r}")
            asked.n_again += 1
            await asyncio.sleep(draw.uniform(*_PAUSE_S))
        await asyncio.sleep(draw.uniform(*_PAUSE_S))


async def _answer(api: Served, key: str, symbol: str) -> tuple[int, bytes]:
    """Return status and body of an answer; 0 if there was nobody to answer."""
    headers = api.headers() | {"Idempotency-Key": key, "Request-Timeout-Ms": _PATIENCE_MS}
    body = {"symbol": symbol, "strategy_override": "bull_specialist"}
    try:
        async with api.session.post(api.url(PREDICT), json=body, headers=headers) as answer:
            return answer.status, await answer.read()
    except (aiohttp.ClientError, TimeoutError):
        return 0, b""


def gone(api: Served, asked: Asked, away_s: float, *, dies: bool) -> Strike:
    """Return an outage during which requests go on; at its end the worker may be killed."""

    async def strike(struck: Struck) -> None:
        await away(struck)
        asked.is_away = True
        await asyncio.sleep(away_s)
        asked.is_away = False
        if dies:
            await struck.trial.end(signal.SIGKILL)
        await back(struck)
        if dies:
            api.start("0", "", "--alone")

    return strike


def dying(api: Served, asked: Asked, point: str) -> Strike:
    """Return an outage in which the worker dies at a failpoint of its buffer."""

    async def strike(struck: Struck) -> None:
        trial = struck.trial
        await trial.end(signal.SIGTERM)
        trial.children.environment[VARIABLE] = point
        api.start("0", "", "--alone")
        del trial.children.environment[VARIABLE]
        await api.ready()
        await away(struck)
        asked.is_away = True
        process = trial.started["0"]
        await trial.until(lambda: not process.alive(), f"an end at {point}")
        asked.is_away = False
        said = trial.children.log_of("worker-0").read_text(errors="replace")
        if f"failpoint {point.partition(':')[0]}" not in said:
            struck.violations.append(f"the worker ended, and not at {point}: {said[-500:]}")
        await back(struck)
        api.start("0", "", "--alone")

    return strike


Strikes = Callable[[Served, Asked], list[Strike]]


async def ask_through_outages(
    place: Place, seed: int, n: int = 2, away_s: float = 20.0, least_aside: int = 10
) -> Played:
    """Play one run with ``n`` outages, the worker killed in every second, and requests all along.

    While the broker is away, at least ``least_aside`` requests must have been answered.
    """

    def strikes(api: Served, asked: Asked) -> list[Strike]:
        return [gone(api, asked, away_s, dies=at % 2 == 1) for at in range(n)]

    return await _asking(place, f"asking-{seed}", seed, strikes, least_aside)


async def ask_and_die(place: Place, seed: int) -> Played:
    """Play one run in which the worker dies at each failpoint of its outage buffer."""

    def strikes(api: Served, asked: Asked) -> list[Strike]:
        # A block for each answer, more or less: some were answered before it dies.
        return [dying(api, asked, f"spill.{point}:{3 + seed % 5}") for point in SPILL]

    return await _asking(place, f"spill-{seed}", seed, strikes, 1)


async def _asking(place: Place, name: str, seed: int, strikes: Strikes, least_aside: int) -> Played:
    draw = random.Random(seed)  # noqa: S311  a seeded experiment
    how = How(equal=False, beside=False)

    async def run(struck: Struck) -> None:
        async with _served(struck) as api:
            asked = Asked()
            planned = strikes(api, asked)
            plan = {_FIRST_BAR + at * _BARS_APART: one for at, one in enumerate(planned)}
            askers: list[asyncio.Task[None]] = []

            async def begin(_: Trial) -> None:
                for number in range(_ASKERS):
                    mine = random.Random(f"{seed} {number}")  # noqa: S311  a seeded experiment
                    work = ask(api, asked, mine, f"asker-{number}")
                    askers.append(asyncio.create_task(work))

            try:
                await feed(struck, plan, how, {_FIRST_BAR - _BARS_BEFORE: begin})
            finally:
                for task in askers:
                    task.cancel()
                ended = await asyncio.gather(*askers, return_exceptions=True)
            struck.violations += asked.violations
            struck.violations += [repr(one) for one in ended if isinstance(one, Exception)]
            await _told(struck, asked)
            struck.n_asked, struck.n_aside = len(asked.answered), asked.n_aside
            if asked.n_aside < least_aside:
                struck.violations.append(
                    f"{asked.n_aside} answers while the broker was away; expected {least_aside}"
                )

    return await judged(place, name, draw, run, how)


@asynccontextmanager
async def _served(struck: Struck) -> AsyncIterator[Served]:
    keys = TokenKeys(struck.trial.run.data / "auth")
    keys.rotate()
    async with aiohttp.ClientSession() as session:
        api = Served(struck.trial, keys, session, {})
        api.start("0", "", "--alone")
        yield api


async def _told(struck: Struck, asked: Asked) -> None:
    """Wait until every answer is a decision in the log, then compare them to the byte."""
    found: dict[str, set[bytes]] = {}

    async def is_told() -> bool:
        found.clear()
        for record in await struck.trial.records(TRADING_DECISIONS.name):
            key = json.loads(record.value)["intent_id"]
            if key:
                found.setdefault(key, set()).add(record.value)
        return set(asked.answered) <= set(found)

    await struck.trial.until(is_told, f"{len(asked.answered)} answers in the log")
    for key, values in found.items():
        if len(values) > 1:
            struck.violations.append(f"{key} has {len(values)} decisions in the log")
    for key, answer in asked.answered.items():
        struck.violations += differing(key, answer, min(found[key]))


def differing(key: str, answer: dict[str, bytes], value: bytes) -> list[str]:
    """Return the fields of an answer that are not those of its decision, exact to the last digit.

    A whole number may be spelled with or without its decimal.
    """
    said = _RAW.decode(value)
    return [
        f"{key}: {name} was answered {raw!r}, the log has {bytes(said[name])!r}"
        for name, raw in (answer | _RAW.decode(answer["risk"])).items()
        if name in said and read_json(bytes(said[name])) != read_json(bytes(raw))
    ]
