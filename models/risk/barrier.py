"""The barrier: a bar is decided when every partition has delivered it, or gone past it.

A slice that waits changes nothing but this waiting room, so what it holds can be read again after a
restart; decisions come bar by bar in time order, however the partitions interleave.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")

# (close_ns, timeframe rank): bars of one close are decided from the shortest timeframe up.
BarKey = tuple[int, int]


@dataclass(slots=True)
class Barrier(Generic[Item]):
    """Slices that wait, by bar, partition and chunk, and how far each partition has delivered."""

    decided: BarKey = (-1, 0)
    waiting: dict[BarKey, dict[tuple[int, int], tuple[int, Item]]] = field(default_factory=dict)
    delivered: dict[int, BarKey] = field(default_factory=dict)

    def put(self, bar: BarKey, place: tuple[int, int], offset: int, item: Item) -> bool:
        """Let a slice wait; False if its bar is decided or the slice is there already.

        ``place`` is (partition, chunk), ``offset`` where the slice stands in the log.
        """
        if bar <= self.decided:
            return False
        slices = self.waiting.setdefault(bar, {})
        if place in slices:
            return False
        slices[place] = (offset, item)
        return True

    def held(self, bar: BarKey, place: tuple[int, int]) -> Item | None:
        """Return the slice that waits at ``place``, None if none does."""
        waiting = self.waiting.get(bar, {}).get(place)
        return None if waiting is None else waiting[1]

    def complete(self, bar: BarKey, partition: int) -> None:
        """Note that ``partition`` has delivered its last chunk of ``bar``."""
        self.delivered[partition] = max(bar, self.delivered.get(partition, (-1, 0)))

    def take(self, n_partitions: int) -> Iterable[tuple[BarKey, list[Item]]]:
        """Yield every bar that all partitions have reached, in time order, with its slices."""
        if len(self.delivered) < n_partitions:
            return
        reached = min(self.delivered.values())
        for bar in sorted(key for key in self.waiting if key <= reached):
            slices = self.waiting.pop(bar)
            self.decided = bar
            yield bar, [slices[place][1] for place in sorted(slices)]

    def oldest_offset(self) -> int | None:
        """Return the lowest offset of a waiting slice: a restart must read from there."""
        offsets = [offset for slices in self.waiting.values() for offset, _ in slices.values()]
        return min(offsets, default=None)
