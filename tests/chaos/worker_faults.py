"""Faults of workers beside the kill: ended in order, asleep, refused, on a clock that jumps."""

import asyncio
import os
import signal
from contextlib import aclosing, suppress

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from agents.topology import app_id
from streams import topics
from streams.clock import monotonic_s, wall_ns
from tests.chaos.faults import Fault, How, Struck, made_at_ns
from tests.chaos.groups import settled
from tests.chaos.jumping_clock import NS_PER_S, VARIABLE
from tests.runs import PATIENCE_S

# Twice the group's session time-out: long gone for the group when it wakes.
_SESSION_S = 10.0
ASLEEP_S = 2 * _SESSION_S

# A stage keeps its state 64 bars after the last time, which may be while the broker still takes up
# the new limit. The tape stands before the next strike until the one before is over, so a refusal
# needs as many bars to be met in, and some more.
REFUSED_BARS = 80

_ANSWER_S = 30.0
# Both ways. A decision is seen sooner than the least of them, so it shows one time at most.
JUMPS_S = (3_600, -3_600, 86_400, -86_400, 5, -5)
_SEEN_WITHIN_NS = 4 * NS_PER_S

_SNAPSHOTTING = ("bars", "signals", "risk")


async def roll(struck: Struck) -> None:
    """End one of two workers in order and start it again, the one and the other in turn."""
    trial = struck.trial
    if "worker-1" not in trial.children.running:
        trial.start("1")
        await settled(trial, 2)
    instance = str(struck.n_strikes % 2)
    since_s = monotonic_s()
    await trial.end(signal.SIGTERM, instance)
    trial.start(instance)
    # The other one goes on with what is on its way: what was sent by now does not count.
    struck.watch_recovery(since_s, instance, trial.tape.closes_ns()[trial.n_fed])


async def sleep(struck: Struck, asleep_s: float = ASLEEP_S) -> None:
    """Freeze a worker until another has its partitions, and let it wake up and go on writing."""
    trial = struck.trial
    if "worker-1" not in trial.children.running:
        trial.start("1")
        await settled(trial, 2)
        # Who finds that it was taken for dead may end by itself; a keeper starts it again.
        struck.keep("0")
    pid = trial.children.running["worker-0"].pid
    os.kill(pid, signal.SIGSTOP)
    await trial.members(1)
    await asyncio.sleep(asleep_s - _SESSION_S)
    os.kill(pid, signal.SIGCONT)


async def refuse(struck: Struck) -> None:
    """Let a changelog refuse every record until the worker ends of it, then mend it.

    The tape goes on meanwhile: a stage without news writes no snapshot that could be refused.
    """
    stage = struck.draw.choice(_SNAPSHOTTING)
    name = topics.changelog_name(app_id(struck.trial.run.name), stage)
    process = struck.trial.children.running["worker-0"]
    await asyncio.to_thread(_limit, struck.place.servers, name, 1)
    try:
        await struck.trial.until(lambda: not process.alive(), f"an end: {name} refuses")
    finally:
        await asyncio.to_thread(_limit, struck.place.servers, name, topics.CHANGELOG_BYTES)
    said = struck.trial.children.log_of("worker-0").read_text(errors="replace")
    if name not in said:
        struck.violations.append(f"the worker ended and did not say of {name}: {said[-500:]}")
    struck.trial.start()


async def jump(struck: Struck) -> None:
    """Kill the worker and let the next one live on a clock that jumps, each time by another jump.

    Its decisions must show the right time and the jumped one: else nothing was tried. They are
    looked at as they come, for those of the worker before it may have been made on such a clock.
    """
    trial, jump_s = struck.trial, JUMPS_S[struck.n_strikes % len(JUMPS_S)]
    await trial.end(signal.SIGKILL)
    trial.children.environment[VARIABLE] = str(jump_s)
    trial.start(program="tests.chaos.jumping_clock")
    del trial.children.environment[VARIABLE]
    missing = {0, jump_s}
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(PATIENCE_S),
            aclosing(trial.tail(topics.TRADING_DECISIONS.name)) as said,
        ):
            async for record in said:
                late_ns = wall_ns() - made_at_ns(record)
                missing -= {s for s in missing if shows(s, late_ns)}
                if not missing:
                    return
    struck.violations.append(f"no decision by a clock {sorted(missing)} s off: nothing was tried")


def shows(jump_s: int, late_ns: int) -> bool:
    """Tell whether a clock had jumped, by how long after its time a record of it was seen."""
    return 0 <= jump_s * NS_PER_S + late_ns <= _SEEN_WITHIN_NS


def _limit(servers: str, topic: str, n_bytes: int) -> None:
    entry = ConfigEntry(
        "max.message.bytes", str(n_bytes), incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": servers})
    (answer,) = admin.incremental_alter_configs([resource]).values()
    answer.result(timeout=_ANSWER_S)


ROLL = Fault(
    "roll", "the same decisions, nothing said twice, ready in <= 3 s", roll, 25, How(once=True)
)
SLEEP = Fault("sleep", "the same decisions, whatever the sleeper still writes", sleep, 10)
REFUSE = Fault("refuse", "the worker ends at once, and the same decisions follow", refuse, 10)
JUMP = Fault("jump", "the same decisions on any clock", jump, 10)
