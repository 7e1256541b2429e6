"""The alerts with the real Prometheus and Alertmanager: rules, routes, runbooks, one delivered."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

from tests.alerts import DOCKER, RULES, holds, rules_of
from tests.boards import program
from tests.monitors import monitor
from tests.trials import TRIALS

_MISSING = [name for name in ("promtool", "amtool") if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(
    bool(_MISSING), reason=f"{', '.join(_MISSING)} not on PATH: .ci/packages promtool amtool"
)

ROUTES = DOCKER / "alertmanager" / "alertmanager.yml"
NAMES = sorted(rules_of())


def amtool(*words: str) -> str:
    """Run amtool and return what it says."""
    return subprocess.run(["amtool", *words], capture_output=True, text=True, check=True).stdout


def test_rules_when_tried_then_fire_in_time_and_resolve(tmp_path: Path) -> None:
    """Quiet just inside the threshold, firing just outside after the wait, gone when calm again."""
    well, said = holds(TRIALS, RULES, tmp_path)
    assert well, said
    assert {trial.alert for trial in TRIALS} == set(NAMES)


def test_configurations_when_checked_by_their_programs_then_are_valid() -> None:
    """What the programs read at start is read here."""
    amtool("check-config", str(ROUTES))
    subprocess.run(
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", str(RULES)], check=True
    )
    config = str(DOCKER / "prometheus" / "prometheus.yml")
    subprocess.run(["promtool", "check", "config", "--syntax-only", config], check=True)


def test_dashboards_when_read_by_promtool_then_every_query_parses(tmp_path: Path) -> None:
    """Each query stands as a rule, which the real parser reads."""
    boards = program()
    asked = [query for board in boards.BOARDS for query in boards.queries(board)]
    rules = [
        {"record": f"q{number}", "expr": query.replace("$stack", ".*")}
        for number, query in enumerate(asked)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    subprocess.run(["promtool", "check", "rules", str(file)], check=True)


def test_routes_when_asked_then_every_alert_reaches_whom_it_should() -> None:
    """A page goes to who is on call and to the chat, everything else to the chat alone."""
    for name, rule in rules_of().items():
        severity = rule["labels"]["severity"]
        where = amtool(
            *("config", "routes", "test", f"--config.file={ROUTES}"),
            *(f"alertname={name}", f"severity={severity}", "stack=s"),
        )
        assert where.strip() == {"page": "page,chat", "chat": "chat"}[severity], name


def test_inhibitions_when_read_then_name_alerts_that_exist() -> None:
    """A renamed alert would silently inhibit nothing."""
    config = yaml.safe_load(ROUTES.read_text())
    said = [
        name
        for rule in config["inhibit_rules"]
        for (matcher,) in (rule["source_matchers"], rule["target_matchers"])
        for name in matcher.split('"')[1].split("|")
    ]
    assert set(said) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_runbook_when_linked_then_says_what_to_do(name: str) -> None:
    """Symptom, check, action and how to see that it is over, in this order."""
    runbook = DOCKER.parent / rules_of()[name]["annotations"]["runbook_url"]
    heads = [line for line in runbook.read_text().splitlines() if line.startswith("#")]
    assert heads == [f"# {name}", "## Symptom", "## Check", "## Action", "## Verify"]


def test_runbooks_when_listed_then_each_has_its_alert() -> None:
    """A runbook without an alert is found by nobody."""
    assert sorted(path.stem for path in (DOCKER / "runbooks").glob("*.md")) == NAMES


@pytest.fixture
def chat() -> Iterator[tuple[str, Queue[dict[str, Any]]]]:
    """Yield the address of a chat's webhook, and what it was told."""
    told: Queue[dict[str, Any]] = Queue()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", told
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def alertmanager(tmp_path: Path, chat: tuple[str, Queue[dict[str, Any]]]) -> Iterator[str]:
    """Yield the address of a real Alertmanager with our routes, whose groups do not wait."""
    (tmp_path / "chat_url").write_text(chat[0])
    (tmp_path / "page_key").write_text("none")
    config = ROUTES.read_text().replace("/run/secrets", str(tmp_path))
    for wait in ("30s", "10s"):
        config = config.replace(f"group_wait: {wait}", "group_wait: 0s")
    # Who is on call is reached over the internet; the chat alone is tried here.
    routes = yaml.safe_load(config)
    (page,) = (one for one in routes["receivers"] if one["name"] == "page")
    del page["pagerduty_configs"]
    (tmp_path / "routes.yml").write_text(yaml.safe_dump(routes))
    options = (
        f"--config.file={tmp_path / 'routes.yml'}",
        f"--storage.path={tmp_path / 'kept'}",
        "--cluster.listen-address=",
    )
    with monitor("prometheus-alertmanager", options, ready_s=20.0) as url:
        yield url


def send(url: str, *names: str) -> None:
    """Tell Alertmanager that some alerts fire."""
    rules = rules_of()
    alerts = [
        {
            "labels": {"alertname": name, "stack": "s", **rules[name]["labels"]},
            "annotations": {**rules[name]["annotations"], "summary": f"{name} it is"},
        }
        for name in names
    ]
    request = Request(  # noqa: S310  our own address
        f"{url}/api/v2/alerts",
        json.dumps(alerts).encode(),
        {"Content-Type": "application/json"},
    )
    urlopen(request, timeout=5).close()  # noqa: S310  our own address


def test_alert_when_it_fires_then_the_chat_is_told_with_its_runbook(
    alertmanager: str, chat: tuple[str, Queue[dict[str, Any]]]
) -> None:
    """One message with what is wrong and what to do; what follows from it is not said as well."""
    send(alertmanager, "BrokerAway")
    told = json.dumps(chat[1].get(timeout=20))
    assert "BrokerAway it is, docker/runbooks/BrokerAway.md" in told
    send(alertmanager, "PipelineStalled")
    with urlopen(f"{alertmanager}/api/v2/alerts", timeout=5) as answer:  # noqa: S310  our own address
        found = {one["labels"]["alertname"]: one["status"] for one in json.load(answer)}
    assert found["BrokerAway"]["state"] == "active"
    with pytest.raises(Empty):
        chat[1].get(timeout=2)
