"""The workers' group: who is in, who has which partitions, and whose commits still count.

As Kafka's with static membership: members keep their places under a name of their own, and a stop
is no leave; in a rebalance all let go and come again before anybody begins; who is not heard for a
session is put out and learns of it when it asks; a commit of another generation is refused.
"""

import asyncio
import random
from typing import NamedTuple

from tests.simulation.broker import N_PARTITIONS, Broker

SESSION_S = 10.0
HEARTBEAT_S = 1.0


class Deal(NamedTuple):
    """What a member is told: its own number, the generation, and its partitions."""

    member: int
    generation: int
    partitions: tuple[int, ...]


class _Member:
    def __init__(self, number: int, heard_s: float) -> None:
        self.number, self.heard_s = number, heard_s
        self.joining: asyncio.Future[Deal] | None = None
        self.partitions: tuple[int, ...] = ()


class Group:
    """One group of a broker.

    Parameters
    ----------
    broker
        Where its progress is kept.
    draw
        Deals the partitions.
    """

    def __init__(self, broker: Broker, draw: random.Random) -> None:
        self._broker, self._draw = broker, draw
        self._members: dict[str, _Member] = {}
        self._n_ever = 0
        self.generation = 0
        self.is_settled = True

    async def join(self, name: str, number: int | None) -> Deal:
        """Come, or come again with the number that one was told; wait until all have."""
        await self._broker.answer()
        held = self._members.get(name)
        now_s = asyncio.get_running_loop().time()
        if held is not None and number is None:
            # A new process under a name that is known: the one before it is shut out.
            self._n_ever += 1
            held.number, held.heard_s = self._n_ever, now_s
            if held.joining is not None:
                held.joining.cancel()
                held.joining = None
            if self.is_settled:
                return Deal(held.number, self.generation, held.partitions)
        elif held is None or held.number != number:
            if held is not None:
                raise ShutOutError(name)
            self._n_ever += 1
            held = self._members[name] = _Member(self._n_ever, now_s)
        self.is_settled = False
        joining = held.joining = asyncio.get_running_loop().create_future()
        self._settle()
        return await joining

    def hears(self, name: str, deal: Deal) -> bool:
        """Hear of a member; tell whether all is as it was told."""
        held = self._members.get(name)
        if held is None or held.number != deal.member:
            return False
        held.heard_s = asyncio.get_running_loop().time()
        return self.is_settled and deal.generation == self.generation

    def is_shut_out(self, name: str, deal: Deal) -> bool:
        """Tell whether another process has come under a member's name."""
        held = self._members.get(name)
        return held is not None and held.number != deal.member

    def takes(self, name: str, deal: Deal) -> bool:
        """Tell whether a member's commit counts: it is of the present generation."""
        held = self._members.get(name)
        is_known = held is not None and held.number == deal.member
        return is_known and deal.generation == self.generation

    async def watch(self) -> None:
        """Put out who is not heard any more; runs as long as the world."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            if self._broker.left_s():
                for member in self._members.values():
                    member.heard_s = self._broker.back_s
                continue
            old_s = asyncio.get_running_loop().time() - SESSION_S
            for name in [name for name, one in self._members.items() if one.heard_s < old_s]:
                if self._members[name].joining is None:
                    self._broker.trace.note("put out", name)
                    del self._members[name]
                    self.is_settled = False
                    self._settle()

    def _settle(self) -> None:
        """Begin a generation if all have come; who is missing is waited for, or put out."""
        if any(member.joining is None for member in self._members.values()):
            return
        self.generation += 1
        self.is_settled = True
        names = sorted(self._members)
        self._draw.shuffle(names)
        hands: dict[str, list[int]] = {name: [] for name in names}
        for partition in range(N_PARTITIONS):
            if names:
                hands[names[partition % len(names)]].append(partition)
        self._broker.trace.note("generation", self.generation, hands)
        for name, member in self._members.items():
            member.partitions = tuple(hands[name])
            member.heard_s = asyncio.get_running_loop().time()
            joining, member.joining = member.joining, None
            # Who has died while it waited is heard no more, and put out as anybody.
            if joining is not None and not joining.done():
                joining.set_result(Deal(member.number, self.generation, member.partitions))


class ShutOutError(Exception):
    """Another process has come under this name: this one must end."""
