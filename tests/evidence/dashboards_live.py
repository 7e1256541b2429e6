"""``dashboards-live``: panels whose query has no data, of a real stack under a real Prometheus.

A stack is trained and goes live with its learning and its rollouts on; ticks, requests, orders and
broken records come for two minutes, and models stand in the shadow. Prometheus finds the
roles by ``tradewind metrics targets``. Then every query of every panel is asked for its values.

``python -m tests.evidence.dashboards_live --pictures docs/pictures`` draws the panels besides.
"""

import argparse
import asyncio
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import yaml
from aiokafka import AIOKafkaProducer
from msgspec import structs
from msgspec.json import encode as json_bytes

from streams.clock import wall_ns
from streams.instructions import OrderIntent
from tests.alerts import DOCKER
from tests.boards import program
from tests.e2e.test_live import Stack, challenger_of, market, trade
from tests.evidence.alert_false_positives import asked
from tests.evidence.measurement import Measurement, Result
from tests.monitors import monitor

TRADED_S = 120.0

_ROUND_S = 10.0
_LABEL = re.compile(r"\{\{(\w+)\}\}")
_WIDTH = 3


@contextmanager
def watched(stack: Stack, folder: Path) -> Iterator[str]:
    """Let a real Prometheus ask a stack's roles every second; yield its address."""
    config = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "5s"}
    del config["alerting"]
    shutil.copy(DOCKER / "prometheus" / "alerts.yml", folder)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    stack.run("metrics", "targets", f"--write={folder / 'targets.json'}")
    options = (f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder}/data")
    with monitor("prometheus", options, ready_s=60.0) as url:
        yield url


def call(url: str, token: str, body: object = None) -> None:
    """Ask the API; whatever it answers is counted."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        urlopen(Request(url, data, headers), timeout=10).close()  # noqa: S310  our own address
    except HTTPError as error:
        error.close()


async def spoken(servers: str, number: int, *, is_last: bool) -> None:
    """Send an order that passes, one that is far too large, and late a tick that nobody can use.

    Of such ticks one in a hundred brings the book to REDUCING, so there are none before.
    """
    intent = OrderIntent(
        portfolio="main",
        ts_event=wall_ns(),
        intent_id=f"evidence-{number}",
        symbol="SYN0",
        side="SELL" if number % 2 else "BUY",
        quantity=3,
    )
    large = structs.replace(intent, intent_id=f"large-{number}", side="BUY", quantity=10**6)
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        if is_last:
            await producer.send_and_wait("market-ticks", b"{}", key=b"SYN0")
        for said in (intent, large):
            await producer.send_and_wait("portfolio-events", json_bytes(said), key=b"main")
    finally:
        await producer.stop()


async def lived(stack: Stack) -> None:
    """Let two minutes of a market, of callers and of people pass."""
    parts = stack.parts()
    servers, api = str(parts["broker"]["address"]), str(parts["worker"]["address"])
    words = ("token", "issue", "--subject=evidence", "--role=trader", "--portfolio=*", "--json")
    token = json.loads(stack.run(*words))["token"]
    n_rounds = int(TRADED_S / _ROUND_S)
    for number in range(n_rounds):
        await spoken(servers, number, is_last=number >= n_rounds - 2)
        await trade(servers, _ROUND_S, {})
        for symbol in ("SYN0", "SYN1"):
            await asyncio.to_thread(call, f"{api}api/v1/features/{symbol}/1s", token)
            await asyncio.to_thread(call, f"{api}api/v1/predict", token, {"symbol": symbol})


def empty(url: str, first_s: int) -> tuple[list[str], int]:
    """Return the queries of panels that have no value, with where they stand, and how many are."""
    boards, found, n = program(), [], 0
    for board in boards.BOARDS:
        for plots in board.sections.values():
            for plot in plots:
                for query in plot.queries.values():
                    n += 1
                    if not values(url, query, first_s):
                        found.append(f"{board.uid}: {plot.title}: {query}")
    return found, n


def values(url: str, query: str, first_s: int) -> list[dict[str, Any]]:
    """Return the series of a query, over all stacks."""
    return asked(url, query.replace("$stack", ".*"), first_s, int(wall_ns() // 10**9), step_s=5)


def drawn(url: str, first_s: int, folder: Path) -> None:
    """Draw each dashboard's panels into a picture, in the order of the dashboard."""
    import matplotlib as mpl  # noqa: PLC0415  only for pictures

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  as above

    for board in program().BOARDS:
        plots = [plot for section in board.sections.values() for plot in section]
        n_rows = -(-len(plots) // _WIDTH)
        figure, axes = plt.subplots(n_rows, _WIDTH, figsize=(15, 2.4 * n_rows), squeeze=False)
        for at, place in enumerate(axes.flat):
            if at >= len(plots):
                place.set_axis_off()
                continue
            place.set_title(f"{plots[at].title} [{plots[at].unit}]", fontsize=8)
            place.tick_params(labelsize=6)
            for legend, query in plots[at].queries.items():
                for one in values(url, query, first_s):
                    label = _LABEL.sub(lambda of, one=one: one["metric"].get(of[1], ""), legend)
                    times, ys = zip(*one["values"], strict=True)
                    since = [time - first_s for time in times]
                    place.plot(since, [float(y) for y in ys], linewidth=0.8, label=label)
            if place.lines:
                place.legend(fontsize=5, ncols=2, frameon=False)
        figure.suptitle(f"{board.title}: seconds since the stack went live", fontsize=10)
        figure.tight_layout(rect=(0, 0, 1, 0.98))
        figure.savefig(folder / f"{board.uid}.png", dpi=70)
        plt.close(figure)


def measure(pictures: Path | None = None) -> Result:
    """Let a stack live for two minutes and ask every panel."""
    if shutil.which("prometheus") is None:
        raise SystemExit("prometheus is not on PATH: .ci/packages prometheus")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stack = Stack(folder / "home", TRADEWIND_LEARNING="safe")
        file = market(folder)
        try:
            stack.run("train", f"--file={file}")
            stack.run("up", "--models=champion", f"--history={file}")
            challenger = challenger_of(stack.home / "default")
            with watched(stack, folder) as url:
                first_s = wall_ns() // 10**9
                stack.run("rollout", "start", challenger, "--id=r1", "--reason=evidence")
                asyncio.run(lived(stack))
                missing, n = empty(url, first_s)
                if pictures is not None:
                    drawn(url, first_s, pictures)
        finally:
            stack.run("down")
    return Result(len(missing), not missing, n, {"without_data": missing})


DASHBOARDS_LIVE = Measurement(
    "dashboards-live",
    "queries of panels without data, of a live stack under Prometheus",
    "0",
    6,
    measure,
)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.dashboards_live")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each dashboard")
    print(json.dumps(measure(parser.parse_args().pictures)._asdict(), indent=2))  # noqa: T201  a command's output
