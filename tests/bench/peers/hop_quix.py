"""Quix Streams: a streaming data frame over JSON, with its own settings."""

import os
import sys

from quixstreams import Application


def main(servers: str, source: str, sink: str) -> None:
    """Pass events on until the process is ended."""
    app = Application(
        broker_address=servers,
        consumer_group=f"{source}-quix",
        auto_offset_reset="earliest",
        auto_create_topics=False,
        loglevel="ERROR",
    )
    bars = app.topic(source, key_deserializer="str", value_deserializer="json")
    results = app.topic(sink, key_serializer="str", value_serializer="json")
    frame = app.dataframe(bars)
    frame["notional"] = frame["close"] * frame["volume"]
    frame.to_topic(results)
    app.run()


if __name__ == "__main__":
    os.sched_setaffinity(0, {0})
    main(*sys.argv[1:])
