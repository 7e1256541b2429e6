"""Bytewax: a dataflow from Kafka to Kafka over JSON, with its own settings."""

import json
import os
import sys

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.testing import cluster_main


def _worth(message: object) -> KafkaSinkMessage:
    event = json.loads(message.value)
    event["notional"] = event["close"] * event["volume"]
    return KafkaSinkMessage(message.key, json.dumps(event).encode())


def main(servers: str, source: str, sink: str) -> None:
    """Pass events on until the process is ended."""
    flow = Dataflow("hop")
    read = kop.input("in", flow, brokers=[servers], topics=[source], batch_size=1_000)
    kop.output("out", op.map("worth", read.oks, _worth), brokers=[servers], topic=sink)
    cluster_main(flow, [], 0)


if __name__ == "__main__":
    os.sched_setaffinity(0, {0})
    main(*sys.argv[1:])
