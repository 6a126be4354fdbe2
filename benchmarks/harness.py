"""What benchmarks share: a temporary instance, the shipped processes in it, their CPU time and memory.

What does not belong here: a load or a measurement of one benchmark.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesh.config import load
from mesh.security import create_signing_key, mint_token

_TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Child:
    """A process that was started here, with all its children."""

    def __init__(self, name: str, process: subprocess.Popen[Any]) -> None:
        self.name = name
        self.process = process

    def cpu_us(self) -> float:
        """CPU time of the process, its threads and its living children, in microseconds."""
        return cpu_us_of(self.process.pid)

    def rss_bytes(self) -> int:
        """Resident memory of the process and its living children."""
        return sum(_rss_bytes(pid) for pid in _family(self.process.pid))

    def stop(self) -> None:
        """Ends it in order, or at once if it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def cpu_us_of(pid: int) -> float:
    """CPU time of a process that was started elsewhere, its threads and its living children, in microseconds."""
    return sum(_cpu_us(one) for one in _family(pid))


def _family(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, at = [pid], 0
    while at < len(found):
        found += children.get(found[at], [])
        at += 1
    return found


def _cpu_us(pid: int) -> float:
    with contextlib.suppress(OSError):
        # schedstat counts nanoseconds, per thread; the ticks of /proc/PID/stat are 10 ms.
        total_ns = 0
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total_ns += int((thread / "schedstat").read_text().split()[0])
        if total_ns:
            return total_ns / 1000
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_US
    return 0.0


def _rss_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


@dataclass(frozen=True, slots=True)
class MachineTime:
    """What all cores did since the start, in ticks: how much of it they were in use, and how much there was."""

    used: int
    total: int

    @classmethod
    def now(cls) -> MachineTime:
        """At this moment (/proc/stat)."""
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return cls(sum(ticks) - ticks[3] - ticks[4], sum(ticks))

    def share_until_now(self) -> float:
        """The share of all cores that was in use since, 0 to 1."""
        now = self.now()
        return (now.used - self.used) / max(1, now.total - self.total)


@dataclass(frozen=True, slots=True)
class Simulation:
    """Simulated cameras that serve."""

    child: Child
    urls: dict[str, str]
    log_dir: Path
    control_port: int


class Instance:
    """A data folder with keys and a configuration, in which services are started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[Child] = []
        self.config_file = folder / "trueframe.toml"
        keys = folder / "data" / "keys"
        keys.mkdir(parents=True, mode=0o700)
        (folder / "data" / "run").mkdir(mode=0o700)
        key = create_signing_key(keys / "signing.key", keys / "signing.pub")
        self.token = mint_token(key, "benchmark", "service")
        self.token_file.touch(0o600)
        self.token_file.write_text(self.token)
        # No bus: what a benchmark of frames measures must not depend on one.
        self.settings = {"run": {"data_dir": str(folder / "data"), "log_level": "warning"}}

    def beside(self, name: str) -> Instance:
        """One more, with keys of its own, in a folder of this one; it ends with it."""
        folder = self.folder / name
        folder.mkdir()
        other = Instance(folder)
        other.children = self.children
        return other

    @property
    def token_file(self) -> Path:
        """The token of a service."""
        return self.folder / "data" / "keys" / "service.token"

    def configure(self, cameras: dict[str, str], **sections: dict[str, Any]) -> None:
        """Writes the configuration: cameras by id, and more sections."""
        lines = []
        for name, section in {**self.settings, **sections}.items():
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())]
        for camera, source in cameras.items():
            lines += ["[[cameras]]", f"id = {json.dumps(camera)}", f"source = {json.dumps(source)}"]
        self.config_file.touch(0o600)
        self.config_file.write_text("\n".join(lines) + "\n")

    def endpoint(self, name: str) -> str:
        """Where a service listens: "broker", "media_center", …"""
        endpoint: str = getattr(load(self.config_file), name).endpoint
        return endpoint

    def start_service(self, module: str, **popen: Any) -> Child:
        """Starts `python -m MODULE` as users run it."""
        arguments = [sys.executable, "-m", module, "--config", str(self.config_file)]
        with (self.folder / f"{module}.log").open("wb") as log:
            child = Child(module, subprocess.Popen(arguments, stdout=log, stderr=log, **popen))
        self.children.append(child)
        return child

    def start_cameras(self, *arguments: str) -> Simulation:
        """Starts `python -m simulator serve` and waits until it serves."""
        log_dir = self.folder / "sent"
        command = [sys.executable, "-m", "simulator", "serve", "--port", "0", "--log", str(log_dir), *arguments]
        with (self.folder / "simulator.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        child = Child("simulator", process)
        self.children.append(child)
        ready = json.loads(_first_line(child, 180.0))
        return Simulation(child, dict(ready["urls"]), log_dir, int(ready["control"]))

    def wait_for_socket(self, endpoint: str, child: Child, timeout_s: float = 30.0) -> None:
        """Returns when somebody accepts connections at a "unix:" endpoint."""
        deadline = time.monotonic() + timeout_s
        while True:
            if child.process.poll() is not None:
                raise SystemExit(f"{child.name} ended: {(self.folder / f'{child.name}.log').read_text()[-2000:]}")
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
                probe.connect(endpoint.removeprefix("unix:"))
                return
            if time.monotonic() > deadline:
                raise SystemExit(f"{child.name} does not answer at {endpoint} within {timeout_s} s")
            time.sleep(0.02)


def _first_line(child: Child, timeout_s: float) -> bytes:
    assert child.process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(child.process.stdout, selectors.EVENT_READ)
        if not selector.select(timeout_s):
            raise SystemExit(f"{child.name} is not ready within {timeout_s} s")
    line: bytes = child.process.stdout.readline()
    if not line:
        raise SystemExit(f"{child.name} ended before it was ready")
    return line


@contextlib.contextmanager
def instance() -> Iterator[Instance]:
    """A temporary instance; everything that was started in it is ended, and its folder removed."""
    with tempfile.TemporaryDirectory(prefix="trueframe-bench-") as folder:
        made = Instance(Path(folder))
        try:
            yield made
        finally:
            for child in reversed(made.children):
                child.stop()


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the sorted values lie (nearest rank); 0.0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Least-squares slope of (x, y) points; 0.0 of fewer than two."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def machine() -> dict[str, Any]:
    """What a reader must know to compare figures."""
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), "unknown")  # fmt: skip
    return {"cpu": cpu, "cores": os.cpu_count(), "load_1m": round(os.getloadavg()[0], 2)}
