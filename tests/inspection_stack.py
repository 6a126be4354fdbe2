"""NATS, broker, pixel host, media center, event center, aggregate and a worker: real processes on their own sockets.

For tests of what happens between them: any of them can be killed and started again on the same data.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aggregate.client import SyncInspectionClient
from event_center.client import EventClient, SyncEventClient
from mesh.config import Config, load
from mesh.errors import TrueframeError
from tests.broker_process import BrokerProcess
from tests.pixel_process import HostProcess
from tests.support import until


class Process:
    """One child process that can be killed and started again."""

    def __init__(self, name: str, command: list[str], log: Path, answers: Callable[[], bool]) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._answers = answers
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                env={**os.environ, "TRUEFRAME_PARENT_PID": str(os.getpid())},
            )
        until(self._is_ready, 30, f"{self.name} answers")

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        child, self._child = self._child, None
        if child is None or child.poll() is not None:
            return
        child.send_signal(number)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise

    def restart(self) -> None:
        """Killed and started again."""
        self.end()
        self.start()

    def _is_ready(self) -> bool:
        assert self._child is not None
        if self._child.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self._child.returncode}:\n{self._log.read_text()[-4000:]}")
        return self._answers()


class InspectionStack:
    """All that stands between a camera and an event."""

    def __init__(self, folder: Path, *, settings: tuple[str, ...] = (), toml: str = "") -> None:
        self.data = folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.nats_port: int = probe.getsockname()[1]
        nats_token = folder / "nats.token"
        nats_token.touch(mode=0o600)
        nats_token.write_text(secrets.token_hex(8))
        self.settings = (f"nats.url=nats://127.0.0.1:{self.nats_port}", f"nats.token_file={nats_token}", *settings)
        self.broker = BrokerProcess(self.data, self.settings)
        self.pixels = HostProcess(self.broker, *self.settings)
        pairs = [f"run.data_dir={self.data}", f"run.run_dir={self.broker.run_dir}", *self.settings]
        toml_file = folder / "inspections.toml"
        toml_file.write_text(toml)
        self.config: Config = load(toml_file, pairs, {})
        self.config.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        arguments = ["--config", str(toml_file), *(a for pair in pairs for a in ("--set", pair))]
        nats_config = folder / "nats.conf"
        nats_config.write_text(
            f'listen: "127.0.0.1:{self.nats_port}"\nauthorization {{ token: "{nats_token.read_text()}" }}\n'
            f'jetstream {{ store_dir: "{folder}/js" }}\n'
        )
        nats_command = [str(Path(sys.executable).parent / "nats-server"), "-c", str(nats_config)]
        self.nats = Process("nats-server", nats_command, folder / "nats.log", self._nats_answers)
        self.event_center = self._service("event_center", arguments, self._event_center_answers)
        self.aggregate = self._service("aggregate", arguments, self._aggregate_answers)
        self.media_center = self._service("media_center", arguments, lambda: True)
        self.worker = self._service("detector_pool", arguments, lambda: True)

    def start(self, *names: str) -> None:
        """Starts the named ones, in this order; by default all."""
        every = ("nats", "broker", "pixels", "media_center", "event_center", "aggregate", "worker")
        for name in names or every:
            getattr(self, name).start()

    def stop(self) -> None:
        for process in (self.worker, self.aggregate, self.event_center, self.media_center):
            process.end()
        self.pixels.end(signal.SIGKILL)
        self.broker.kill()
        self.nats.end()

    def event_client(self, name: str, role: str, cameras: list[str] | None = None) -> EventClient:
        """The event center's client for somebody with a token of their own."""
        return EventClient(self.config.event_center.endpoint, self.broker.mint(name, role, cameras))

    def events(self) -> SyncEventClient:
        return SyncEventClient(self.config.event_center.endpoint, self.broker.token)

    def inspections(self) -> SyncInspectionClient:
        return SyncInspectionClient(self.config.aggregate.endpoint, self.broker.token)

    def progress(self, inspection: str) -> dict[str, Any] | None:
        """The aggregate's document of an inspection, as it is on disk."""
        return self._document("progress", inspection)

    def anomalies(self) -> dict[str, int]:
        """Anomalies that the aggregate stored: id to version."""
        return {row[0]: json.loads(row[1])["version"] for row in self._rows('SELECT id, body FROM "anomalies"')}

    def _document(self, collection: str, name: str) -> dict[str, Any] | None:
        rows = self._rows(f'SELECT body FROM "{collection}" WHERE id = ?', name)
        return json.loads(rows[0][0]) if rows else None

    def _rows(self, sql: str, *values: str) -> list[Any]:
        path = self.data / "aggregate" / "aggregate.sqlite"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, values).fetchall()

    def _service(self, module: str, arguments: list[str], answers: Callable[[], bool]) -> Process:
        log = self.data / f"{module}.log"
        return Process(module, [sys.executable, "-m", module, *arguments], log, answers)

    def _nats_answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.nats_port)) == 0

    def _event_center_answers(self) -> bool:
        with contextlib.suppress(TrueframeError), self.events() as client:
            client.list(limit=1)
            return True
        return False

    def _aggregate_answers(self) -> bool:
        with contextlib.suppress(TrueframeError), self.inspections() as client:
            client.list()
            return True
        return False


@contextlib.contextmanager
def inspection_stack(
    folder: Path, *names: str, settings: tuple[str, ...] = (), toml: str = ""
) -> Iterator[InspectionStack]:
    """A stack with the named processes started, by default all; stopped at the end."""
    stack = InspectionStack(folder, settings=settings, toml=toml)
    try:
        stack.start(*names)
        yield stack
    finally:
        stack.stop()
