"""``ProducerBuffer.flush()`` returns after 0.1 s with records unsent, and a commit follows it.

``python faust_flush_gives_up.py [--with-change]`` exits 1 while the bug is there. It needs no
broker: a channel that takes 0.3 s to hand a record over stands in for a slow one.
"""

import argparse
import asyncio
import logging
import time
from importlib.metadata import version
from types import SimpleNamespace

import faust
from faust.transport.producer import ProducerBuffer

N_RECORDS = 3
HAND_OVER_S = 0.3


class SlowChannel:
    """A channel of a broker that is slow for a moment."""

    def __init__(self) -> None:
        self.sent = 0

    async def publish_message(self, _fut: object, *, wait: bool) -> None:
        """Hand one record over."""
        await asyncio.sleep(HAND_OVER_S)
        self.sent += 1


def apply_change() -> None:
    """Wait until what was put before is handed over, as proposed."""

    async def flush_atmost(self, max_messages):
        flushed = 0
        while self.size or self._in_hand:
            if self.state != "running":
                raise RuntimeError("Cannot flush: Producer not Running")
            if max_messages is not None and flushed >= max_messages:
                break
            self.message_sent.clear()
            await self.wait_first(self.message_sent.wait())
            flushed += 1
        return flushed

    send_pending = ProducerBuffer._send_pending

    async def counted_send(self, fut):
        self._in_hand = True
        try:
            await send_pending(self, fut)
        finally:
            self._in_hand = False

    ProducerBuffer._in_hand = False
    ProducerBuffer.flush_atmost, ProducerBuffer._send_pending = flush_atmost, counted_send


async def play() -> int:
    """Put records into a buffer, flush it, and look what was sent."""
    app = faust.App("flush", broker="kafka://127.0.0.1:1")
    buffer = ProducerBuffer()
    buffer.app = app
    channel = SlowChannel()
    async with buffer:
        for _ in range(N_RECORDS):
            buffer.put(SimpleNamespace(message=SimpleNamespace(channel=channel)))
        begun = time.monotonic()
        await buffer.flush()
        took_s = time.monotonic() - begun
        sent = channel.sent
        # So that the end of the buffer finds nothing left.
        await asyncio.sleep(HAND_OVER_S * (N_RECORDS + 1))
    print(f"faust-streaming {version('faust-streaming')}")
    print(f"flush() of {N_RECORDS} records, {HAND_OVER_S} s each: returned after {took_s:.2f} s")
    print(f"handed over by then: {sent} of {N_RECORDS}")
    print("the bug is there" if sent < N_RECORDS else "mended")
    return int(sent < N_RECORDS)


def main() -> int:
    """Play."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--with-change", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if options.with_change:
        apply_change()
    return asyncio.run(play())


if __name__ == "__main__":
    raise SystemExit(main())
