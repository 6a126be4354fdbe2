"""The simulator for tests: the real program in a process of its own.

    async with simulator.testing.cameras(n=4) as sim:
        sim.urls["cam-1"]; sim.fault("cam-1", "lose", share=0.01); sim.log("cam-1"); sim.truth("cam-1")

`running()` is the same without asyncio. Scenes are small here (320x180, 10 s loops) and come from the common cache, so
only the first run on a machine renders.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from simulator import log as sent_log
from simulator.log import SentUnit


class SimulatorFailed(RuntimeError):
    """The program did not come up, or refused a request."""


class Simulator:
    """A running simulator process."""

    def __init__(self, arguments: list[str], log_folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simulator", "serve", "--log", str(log_folder), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TRUEFRAME_PARENT_PID": str(os.getpid())},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.stdout.close()
            raise SimulatorFailed(f"the simulator ended with status {self._process.wait()}; it said why on stderr")
        self.ready: dict[str, Any] = json.loads(line)
        self.urls: dict[str, str] = self.ready["urls"]
        self.port: int = self.ready["port"]
        self.control_port: int = self.ready["control"]
        self.tls_sha256: str = self.ready["tls_sha256"]
        """Fingerprint of the certificate; empty if no camera uses TLS."""
        self.log_folder = log_folder
        self.pid = self._process.pid

    def log(self, camera: str) -> list[SentUnit]:
        """What the camera sent until now: every unit that anybody has received is in it."""
        if self._process.poll() is None:
            # A unit is sent and logged in one turn of the program's loop: whoever it answers now comes behind both.
            self.ask({"command": "status"})
        return sent_log.read(sent_log.path_of(self.log_folder, camera))

    def truth(self, camera: str) -> dict[str, Any]:
        """The camera's ground truth."""
        truth: dict[str, Any] = json.loads((self.log_folder / "truth.json").read_text())["cameras"][camera]
        return truth

    def fault(self, camera: str, kind: str, **parameters: float) -> dict[str, Any]:
        """Gives a camera (or `*`) a fault; see `simulator.faults.KINDS`. Not a coroutine. Raises SimulatorFailed."""
        return self.ask({"camera": camera, "fault": kind, **parameters})

    def status(self) -> dict[str, Any]:
        """Counters of every camera."""
        status: dict[str, Any] = self.ask({"command": "status"})["cameras"]
        return status

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """One request to the control port. Raises SimulatorFailed when it is refused."""
        with socket.create_connection(("127.0.0.1", self.control_port), timeout=10) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile() as lines:
                answer: dict[str, Any] = json.loads(lines.readline())
        if not answer["ok"]:
            raise SimulatorFailed(answer["error"])
        return answer

    def stop(self) -> None:
        """Ends the process; a second call does nothing."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def kill(self) -> None:
        """Ends the process as a power cut would."""
        self._process.kill()
        self.stop()


@contextmanager
def running(
    n: int = 1,
    *,
    fps: int = 10,
    size: str = "320x180",
    loop_s: float = 10.0,
    gop_s: float = 1.0,
    log: Path | None = None,
    files: Mapping[str, Path | str] | None = None,
    traits: Mapping[str, str | Mapping[str, object]] | None = None,
    arguments: tuple[str, ...] = (),
) -> Iterator[Simulator]:
    """A simulator with `n` scene cameras (cam-1, …) and these files, stopped at the end. `arguments` go to `serve`.

    `traits` says what kind of camera each one is, by id, or `*` for all: `{"cam-2": "codec=h265,audio=aac"}` or
    `{"cam-2": {"codec": "h265"}}`; see `simulator.traits`.
    """
    folder = log or Path(tempfile.mkdtemp(prefix="trueframe-sim-"))
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--cameras", str(n), "--fps", str(fps), "--size", size, "--loop-s", str(loop_s), "--gop-s", str(gop_s)]
    for name, path in (files or {}).items():
        options += ["--file", f"{name}={path}"]
    for name, wish in (traits or {}).items():
        options += ["--trait", f"{name}:{wish if isinstance(wish, str) else _written(wish)}"]
    try:
        simulator = Simulator([*options, *arguments], folder)
        try:
            yield simulator
        finally:
            simulator.stop()
    finally:
        if log is None:
            shutil.rmtree(folder, ignore_errors=True)


def _written(traits: Mapping[str, object]) -> str:
    texts = {True: "yes", False: "no"}
    return ",".join(f"{name}={texts.get(v, v) if isinstance(v, bool) else v}" for name, v in traits.items())


@asynccontextmanager
async def cameras(n: int = 1, **options: Any) -> AsyncIterator[Simulator]:
    """`running`, without blocking the event loop while it starts and stops."""
    context = running(n, **options)
    simulator = await asyncio.to_thread(context.__enter__)
    try:
        yield simulator
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)
