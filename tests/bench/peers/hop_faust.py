"""Stock Faust: an agent over a topic of JSON records, with its own settings."""

import os
import sys

import faust


class Event(faust.Record, serializer="json"):
    """A bar of a symbol."""

    symbol: str
    ts: int
    close: float
    volume: float


class Result(Event, serializer="json"):
    """The same with what it was worth."""

    notional: float


def main(servers: str, source: str, sink: str) -> None:
    """Pass events on until the process is ended."""
    app = faust.App(
        f"{source}-faust",
        broker=f"kafka://{servers}",
        store="memory://",
        topic_partitions=2,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )
    bars, results = app.topic(source, value_type=Event), app.topic(sink, value_type=Result)

    async def hop(stream: faust.StreamT[Event]) -> None:
        async for event in stream:
            notional = event.close * event.volume
            await results.send(key=event.symbol, value=Result(**event.asdict(), notional=notional))

    app.agent(bars, name="hop")(hop)
    worker = faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False)
    worker.execute_from_commandline()


if __name__ == "__main__":
    os.sched_setaffinity(0, {0})
    main(*sys.argv[1:])
