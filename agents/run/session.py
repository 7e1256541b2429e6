"""One session at a terminal: fit or load, run, verify, and show the pages until Ctrl-C."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from agents.run.archived import archived, audited
from agents.run.drive import (
    Run,
    declare,
    drive,
    start_archive,
    start_explainer,
    start_forensics,
    start_worker,
)
from agents.run.fit import Plan, models_for, plan
from agents.run.observer import Observer
from agents.run.parity import remarks
from agents.run.progress import shown
from agents.run.screen import Screen, summary, verification
from agents.run.serving import demo_access, pages_options, serving_options
from agents.run.stores import database, start_redis
from agents.run.terms import epoch_of
from agents.run.workers import Children, free_port, memory_mb
from models.features.catalogue import WARMUP_BARS
from models.verification import Findings, Terms, verify
from streams.clock import monotonic_s, run_stamp
from streams.epochs import Epoch
from streams.settings import Settings
from streams.sources.tape import Tape
from streams.timestamps import format_ns
from streams.tls import tls_of
from tables.explanations import EXPLANATIONS
from tables.stores.artifacts import Artifacts
from tables.stores.errors import StoreUnavailable
from tables.stores.servers import mlflow
from tables.stores.servers.postgres import PostgresServer

_POLL_S = 0.5

# The archive is a few seconds behind at most; one that keeps nothing for this long is broken.
_ARCHIVE_S = 60.0


class Ports(NamedTuple):
    """Where a session's processes listen."""

    stats: int
    pages: int
    api: int


@dataclass
class Session:
    """A tape through a run of its own.

    Parameters
    ----------
    console
        Where a person reads.
    home
        The stack's directory.
    tape
        What is replayed.
    fit_until_ns, show_from_ns
        How the tape is split; None lets :func:`agents.run.fit.plan` split it in the middle.
    registers
        Whether models that are fitted become the stack's champion.
    """

    console: Console
    home: Path
    tape: Tape
    fit_until_ns: int | None = None
    show_from_ns: int | None = None
    registers: bool = True
    settings: Settings = field(default_factory=Settings.read)
    started_s: float = field(default_factory=monotonic_s)

    def check(self) -> None:
        """Refuse what cannot work, before anything is started.

        Raises
        ------
        SettingsError, TapeError
            With the setting or the tape's part, and what was expected.
        """
        self._plan()
        tls_of(self.settings)
        self._epoch("models to come", {}).check()

    def run(self, bootstrap_servers: str, *, stay: bool) -> bool:
        """Do it all and tell whether the verification held; ``stay`` keeps the pages open."""
        planned = self._plan()
        self.console.print(f"Data: {self.tape.name}.")
        digest, is_new = self._models(planned)
        metadata = Artifacts(self.home / "artifacts").load_models(digest).metadata
        epoch = self._epoch(digest, metadata)
        for told in remarks(epoch):
            self.console.print(told, style="yellow")
        run = Run(f"run-{run_stamp()}", bootstrap_servers, self.home, epoch)
        children = Children(
            run.data / "logs", {"TRADEWIND_PARTITIONS": str(self.settings.partitions)}
        )
        watch = Observer(run.bootstrap_servers, run.prefix, len(epoch.portfolios))
        ports = Ports(*(free_port(self._host) for _ in range(3)))
        try:
            server = self._database(children)
            if server is not None:
                start_archive(run, children)
                start_forensics(run, children)
            start_redis(self.home, children)
            start_explainer(run, children, free_port(self._host))
            asyncio.run(self._play(run, planned, watch, children, ports))
            held = self._report(run, watch)
            if server is not None:
                self._tell_rows(run, server)
                self._register(digest, is_new, children)
            if stay:
                self._serve(run, children, ports)
        finally:
            children.stop()
        return held

    def _plan(self) -> Plan:
        return plan(self.tape, fit_until_ns=self.fit_until_ns, show_from_ns=self.show_from_ns)

    @property
    def _host(self) -> str:
        return self.settings.web_host

    def _address(self, port: int) -> str:
        return f"{self.settings.scheme}://{self._host}:{port}"

    def _models(self, planned: Plan) -> tuple[str, bool]:
        artifacts = Artifacts(self.home / "artifacts")
        with shown(self.console) as progress:
            digest, is_new = models_for(self.tape, planned.fitted, artifacts, progress)
        self.console.print(
            f"Models {digest[:12]} {'fitted now' if is_new else 'loaded'}, on bars from "
            f"{format_ns(planned.fitted.first_close_ns)} to "
            f"{format_ns(planned.fitted.last_close_ns)}. Shown: from "
            f"{format_ns(planned.shown_from_ns)} on, {_sample(planned)}; the {WARMUP_BARS} bars "
            "before warm the features up."
        )
        return digest, is_new

    def _epoch(self, models: str, metadata: dict[str, Any]) -> Epoch:
        artifacts = Artifacts(self.home / "artifacts")
        return epoch_of(self.settings, self.tape, models, metadata, artifacts)

    async def _play(
        self, run: Run, planned: Plan, watch: Observer, children: Children, ports: Ports
    ) -> None:
        await declare(run, self.settings.replication)
        pages = self._address(ports.pages)
        serving = serving_options(self.home, ports.api, pages)
        start_worker(run, children, ports.stats, serving=serving)
        stats = f"http://{self._host}:{ports.stats}/"
        self.console.print(f"Run {run.name}: worker started, Faust stats page {stats}")
        first, last = planned.replay
        n_bars = sum(first <= close <= last for close in self.tape.closes_ns())
        screen = Screen(self.console, watch.seen, n_bars)
        replayed_from_s = monotonic_s()
        with screen.live:
            await drive(run, self.tape, planned, watch=watch, children=children, sent=screen.sent)
        took_s = monotonic_s() - replayed_from_s
        first_s = (watch.seen.first_decision_s or monotonic_s()) - self.started_s
        self.console.print(summary(watch.seen, screen.n_ticks, "the last bar"))
        self.console.print(
            f"First decision {first_s:.1f} s after the start; {n_bars:,} bars in {took_s:.0f} s; "
            f"memory of all processes {memory_mb():,.0f} MB."
        )

    def _report(self, run: Run, watch: Observer) -> bool:
        findings = verify_run(run, watch)
        self.console.print(verification(findings))
        return bool(findings) and all(found.holds() for found in findings.values())

    def _database(self, children: Children) -> PostgresServer | None:
        """Return the stack's database; decisions do not need it, so they do not wait for it."""
        try:
            return database(self.home, children)
        except StoreUnavailable as error:
            self.console.print(f"No SQL rows in this run: {error}", style="yellow")
            return None

    def _tell_rows(self, run: Run, server: PostgresServer) -> None:
        rows = asyncio.run(archived(run, server, patience_s=_ARCHIVE_S))
        rows["audit_records"] = asyncio.run(audited(run, server, patience_s=_ARCHIVE_S))
        # The explaining worker gives way to all others, so it has not come to the end.
        rows["explanations so far"] = rows.pop(EXPLANATIONS.name)
        told = ", ".join(f"{name} {n_rows:,}" for name, n_rows in rows.items())
        self.console.print(f"SQL rows of this run: {told} (PostgreSQL: {server.why}).")

    def _register(self, digest: str, is_new: bool, children: Children) -> None:  # noqa: FBT001  what models_for says
        """Register fitted models in a process of its own: MLflow takes 250 MB of memory."""
        if self.registers and is_new and mlflow.is_usable(self.home):
            children.start("register", "models", "register", digest, f"--name={self.home.name}")
            children.finish("register", timeout_s=mlflow.READY_S)
            said = children.log_of("register").read_text().strip()
            self.console.print(f"MLflow: {said}.")

    def _serve(self, run: Run, children: Children, ports: Ports) -> None:
        stats = f"http://{self._host}:{ports.stats}/"
        api = self._address(ports.api)
        children.start(
            "web",
            "web",
            f"--bootstrap={run.bootstrap_servers}",
            f"--run={run.name}",
            f"--host={self._host}",
            f"--port={ports.pages}",
            f"--label={self.tape.name}",
            f"--stats-url={stats}",
            *pages_options(self.home, api),
        )
        access = demo_access(self.home)
        pages = self._address(ports.pages)
        self.console.print(f"Decisions   {pages}{access.path} (lets in once)", soft_wrap=True)
        self.console.print(f"Faust stats {stats}")
        self.console.print(f"API         {api}/api/v1/docs")
        self.console.print(f"Token       {access.token}", soft_wrap=True)
        self.console.print("Ctrl-C ends the workers and the broker.")
        try:
            while True:
                children.check()
                time.sleep(_POLL_S)
        except KeyboardInterrupt:
            self.console.print("Ending.")


def _sample(planned: Plan) -> str:
    fitted_until_ns = planned.fitted.last_close_ns
    if planned.shown_from_ns > fitted_until_ns:
        return "out of sample"
    return f"IN SAMPLE until {format_ns(fitted_until_ns)}: the models were fitted on these bars"


def verify_run(run: Run, watch: Observer) -> dict[str, Findings]:
    """Verify each portfolio of a run from what was seen of its public topics."""
    findings = {}
    for portfolio in run.epoch.portfolios:
        universe = set(portfolio.universe or run.epoch.symbols())
        terms = Terms(
            portfolio.cash,
            portfolio.limits.max_asset_fraction,
            portfolio.limits.max_leverage,
            portfolio.limits.max_sector_fraction,
            {instrument.id: instrument.sector for instrument in run.epoch.instruments},
        )
        findings[portfolio.id] = verify(
            {(close, symbol) for close, symbol in watch.seen.slots if symbol in universe},
            watch.seen.decisions.get(portfolio.id, []),
            watch.seen.executions.get(portfolio.id, []),
            watch.seen.snapshots.get(portfolio.id, []),
            terms,
        )
    return findings
