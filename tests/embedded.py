"""An embedded instance as a user runs it: `trueframe up --headless` as a process, and how to reach into it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trueframe.client
from simulator import log as sent_log
from tests.support import until
from trueframe.running import NotRunning, Running, find_running


class Embedded:
    """`trueframe up` on a data folder. `start` after `kill` or `stop` goes on with the same data."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self.output = data.parent / f"{data.name}.out"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until every part serves."""
        before = self.said
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "trueframe", "up", "--headless", "--data", str(self.data), *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TRUEFRAME_PARENT_PID": str(os.getpid())},
            )
        until(lambda: self._alive() and "all parts run" in self.said[len(before) :], 120, "every part runs")

    def _alive(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"trueframe up ended:\n{self.said[-3000:]}"
        return True

    @property
    def said(self) -> str:
        """All that it printed until now."""
        return self.output.read_text() if self.output.exists() else ""

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> Running | None:
        """What it tells of itself; None while it starts."""
        with contextlib.suppress(NotRunning):
            return find_running(self.data)
        return None

    @property
    def children(self) -> dict[str, int]:
        """Process ids of its parts."""
        running = self.running
        return dict(running.children) if running else {}

    def client(self) -> trueframe.client.Client:
        """The Python client that users have."""
        return trueframe.client.connect(self.data)

    def stop(self) -> int:
        """Ends it in order; returns its exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it does not stop:\n{self.said[-3000:]}") from None

    def kill(self) -> None:
        """Ends the supervisor as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    # ---- its simulated cameras

    @property
    def simulator(self) -> dict[str, Any]:
        """Facts of the simulator: port, control, log, urls."""
        running = self.running
        assert running is not None
        return dict(running.simulator)

    def sent(self, camera: str) -> list[sent_log.SentUnit]:
        """What a simulated camera sent until now."""
        return sent_log.read(sent_log.path_of(self.data / "simulator" / "log", camera))

    def truth(self) -> dict[str, Any]:
        """Ground truth of the simulated cameras."""
        path = self.data / "simulator" / "log" / "truth.json"
        cameras: dict[str, Any] = json.loads(path.read_text())["cameras"]
        return cameras

    def fault(self, camera: str, kind: str, **parameters: float) -> None:
        """Gives a simulated camera a fault."""
        with socket.create_connection(("127.0.0.1", int(self.simulator["control"])), timeout=10) as connection:
            connection.sendall(json.dumps({"camera": camera, "fault": kind, **parameters}).encode() + b"\n")
            with connection.makefile() as lines:
                answer = json.loads(lines.readline())
        assert answer["ok"], answer


@contextlib.contextmanager
def embedded(data: Path, *arguments: str) -> Iterator[Embedded]:
    """A running instance, stopped at the end."""
    instance = Embedded(data, *arguments)
    try:
        instance.start()
        yield instance
    finally:
        if instance._process is not None and instance._process.poll() is None:
            instance.stop()
