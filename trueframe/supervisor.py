"""`trueframe up`: starts the parts of an embedded instance in order, keeps them running, stops them in reverse.

This process imports no gRPC: it starts processes for as long as it lives (DESIGN 4). What should not be in this module:
what the parts are (`plan`), how one is kept running (`children`), what the user sees of the cameras (the view).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mesh.config import Config, dump, load
from mesh.errors import InvalidArgument
from mesh.files import write_private
from mesh.process import child_environment, die_with_parent
from trueframe import preflight
from trueframe.children import Child, ChildSpec
from trueframe.enrolment import Enrolment
from trueframe.keys import mint_tokens, with_sealed_sources
from trueframe.layout import Layout, layout_of
from trueframe.log_files import BoundedLog
from trueframe.metrics import serve_metrics
from trueframe.nats import nats_token, write_nats_config
from trueframe.plan import nats_spec, service_specs
from trueframe.running import Running
from trueframe.simulated import SimulatedCameras
from trueframe.sources import NamedSource
from trueframe.view import View

RENEW_TOKENS_EVERY_S = 24 * 3600.0
HEALTH_EVERY_S = 2.0
SAID_UNHEALTHY_AFTER_S = 6.0
SAID_RENDERING_AFTER_S = 3.0


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the user asked for."""

    data: Path
    sources: tuple[NamedSource, ...] = ()
    simulate: int = 0
    headless: bool = False
    duration_s: float | None = None
    config: Path | None = None
    settings: tuple[str, ...] = ()
    metrics_port: int | None = None


def resolve_config(options: UpOptions, layout: Layout, nats_port: int) -> Config:
    """The configuration that the children get: the user's, with what the supervisor decides. Raises InvalidArgument."""
    # Endpoints and keys of an embedded instance are the supervisor's, so empty means derived from its folders; settings
    # of behaviour, and where footage goes, are the user's.
    own = {
        "run.data_dir": layout.data,
        "run.run_dir": layout.sockets,
        "security.public_key_file": "",
        "security.token_file": "",
        "security.revocations_file": "",
        "security.share_revocations": "false",
        "nats.url": f"nats://127.0.0.1:{nats_port}",
        "nats.token_file": layout.nats_token,
        **{f"nats.{key}": "" for key in ("user", "password_file", "credentials_file")},
        **{f"nats.{key}": "" for key in ("ca_file", "certificate_file", "key_file")},
        "broker.endpoint": "",
        "pixels.endpoint": "",
        "pixels.rings_socket": "",
        "media_center.endpoint": "",
        "aggregate.endpoint": "",
        "event_center.endpoint": "",
    }
    if options.metrics_port is not None:
        own |= {"run.metrics": "true", "run.metrics_port": 0}
    return load(options.config, [*options.settings, *(f"{key}={value}" for key, value in own.items())])


class Supervisor:
    """One embedded instance, from its first child to its last."""

    def __init__(self, options: UpOptions, layout: Layout) -> None:
        self._options = options
        self._layout = layout
        self._log = BoundedLog(layout.logs / "supervisor.log")
        self._children: list[Child] = []
        self._quiet = False
        self._written = b""
        self._stopping = asyncio.Event()
        self._started_ns = time.time_ns()
        # Safe path: a folder or file named "broker" or "mesh" where the user happens to stand is not ours to import.
        self._environment = child_environment(PYTHONUNBUFFERED="1", PYTHONSAFEPATH="1")
        earlier = preflight.earlier_run(layout)
        previous = earlier.endpoints.get("nats", "") if earlier else ""
        port = previous.rpartition(":")[2]
        self._nats_port = preflight.free_port(int(port) if port.isdigit() else None)
        self.config = resolve_config(options, layout, self._nats_port)
        self._simulated = SimulatedCameras(options.simulate, layout, earlier) if options.simulate else None

    def tell(self, level: str, text: str) -> None:
        """Reports to the user where that does not disturb the terminal wall, and always to the log."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self._log.write(f"{stamp} {level:<7} {text}\n".encode())
        if not self._quiet:
            print(f"trueframe: {text}", file=sys.stderr, flush=True)
        self._write_run_json()

    async def run(self) -> int:
        """Runs until the view ends, the time is over or a signal comes; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stopping.set)
        view = View(self._options.headless, self._options.duration_s, self._layout, self._environment, self.tell)
        code = 0
        try:
            started = asyncio.create_task(self._start())
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait([started, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                started.cancel()
                await asyncio.gather(started, return_exceptions=True)
                return 130
            await started
            self._quiet = not self._options.headless
            watches = [asyncio.create_task(self._watch_health()), asyncio.create_task(self._renew_tokens())]
            shown = asyncio.create_task(view.run())
            await asyncio.wait([shown, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not shown.done():
                await view.stop()
            code = await shown
            self._quiet = False
            for task in [*watches, stopping]:
                task.cancel()
        finally:
            await self._stop()
        return code

    async def _start(self) -> None:
        layout, environment = self._layout, self._environment
        mint_tokens(layout)
        nats_config = layout.run / "nats.conf"
        write_nats_config(nats_config, self._nats_port, layout.data / "nats", nats_token(layout.nats_token))
        write_private(layout.config, dump(with_sealed_sources(self.config, layout)).encode())
        nats = nats_spec(preflight.find_nats_server(), nats_config, self._nats_port, environment)
        begun = time.monotonic()
        self.tell("info", f"starting on {layout.data}")
        patience = asyncio.get_running_loop().call_later(SAID_RENDERING_AFTER_S, self._say_rendering)
        simulator = self._launch(self._simulated.spec(environment)) if self._simulated else None
        first = [self._launch(nats), *([simulator] if simulator else [])]
        # Cameras of the run before are connected to at once: they should find their simulator, not raise an alarm.
        await asyncio.gather(*(child.wait_ready() for child in first))
        patience.cancel()
        for group in service_specs(self.config, layout, environment):
            await asyncio.gather(*(child.wait_ready() for child in map(self._launch, group)))
        self._write_run_json()
        await self._enrol()
        self.tell("info", f"all parts run after {time.monotonic() - begun:.1f} s")

    def _say_rendering(self) -> None:
        if self._simulated:
            self.tell("info", "the simulator renders its scenes; that takes half a minute, and only the first time")

    def _launch(self, spec: ChildSpec) -> Child:
        child = Child(spec, self._layout.logs / f"{spec.name.replace(' ', '-')}.log", self.tell)
        self._children.append(child)
        child.start()
        return child

    async def _enrol(self) -> None:
        """Tells the broker, in a process of its own, which cameras this run is about."""
        simulated = self._simulated.sources() if self._simulated else []
        taken = {source.id for source in simulated}
        for source in self._options.sources:
            if source.id in taken:
                raise InvalidArgument(
                    f'camera "{source.id}"',
                    "is the id of a simulated camera too",
                    'Give it another name: "other=SOURCE".',
                )
        regions = self._simulated.regions() if self._simulated else {}
        wish = Enrolment(list(self._options.sources), simulated, regions)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "trueframe.enrolment", "--data", str(self._layout.data),
            stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=self._environment,
        )  # fmt: skip
        _, said = await process.communicate(wish.to_json())
        lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
        if process.returncode:
            raise InvalidArgument("cameras", lines[-1] if lines else "could not be added")
        for line in lines:
            self.tell("warning", line)

    async def _watch_health(self) -> None:
        """Says so when a part lives and does not answer. It is not killed for that: it may be doing its work."""
        since: dict[str, float] = {}
        while True:
            await asyncio.sleep(HEALTH_EVERY_S)
            self._write_run_json()
            for child in self._children:
                if not child.is_ready or await child.spec.is_ready():
                    if since.pop(child.spec.name, 0.0) < 0:
                        self.tell("info", f"{child.spec.name} answers again")
                    continue
                first = since.setdefault(child.spec.name, time.monotonic())
                if first > 0 and time.monotonic() - first > SAID_UNHEALTHY_AFTER_S:
                    since[child.spec.name] = -1.0
                    self.tell("warning", f"{child.spec.name} (process {child.pid}) runs and does not answer")

    async def _renew_tokens(self) -> None:
        while True:
            await asyncio.sleep(RENEW_TOKENS_EVERY_S)
            mint_tokens(self._layout)

    def _write_run_json(self) -> None:
        config = self.config
        now = Running(
            pid=os.getpid(),
            started_ns=self._started_ns,
            data=str(self._layout.data),
            config=str(self._layout.config),
            token_file=str(self._layout.operator_token),
            endpoints={
                "nats": config.nats.url,
                "broker": config.broker.endpoint,
                "pixels": config.pixels.endpoint,
                "rings": str(config.rings_socket),
                "media_center": config.media_center.endpoint,
                "event_center": config.event_center.endpoint,
                "aggregate": config.aggregate.endpoint,
            },
            children={child.spec.name: child.pid for child in self._children if child.pid},
            restarts={child.spec.name: child.restarts.count for child in self._children},
            simulator=self._simulated.facts() if self._simulated else {},
        ).to_json()
        if now != self._written:
            write_private(self._layout.run_json, now)
            self._written = now

    async def _stop(self) -> None:
        for child in reversed(self._children):
            await child.stop()
        self._children.clear()
        if self._layout.sockets != self._layout.run:
            with contextlib.suppress(OSError):
                self._layout.sockets.rmdir()
        self._log.close()


def run_up(options: UpOptions) -> int:
    """Runs an embedded instance in this process; returns the exit code. Raises TrueframeError."""
    die_with_parent()
    layout = layout_of(options.data)
    preflight.prepare_folders(layout)
    with preflight.take_lock(layout):

        async def run() -> int:
            supervisor = Supervisor(options, layout)
            footage = supervisor.config.footage_dir
            folder = footage if await asyncio.to_thread(footage.is_dir) else layout.data
            preflight.check_space(folder, supervisor.config.media_center.min_free_bytes)
            if options.metrics_port is None:
                return await supervisor.run()
            async with await serve_metrics(options.metrics_port, layout.sockets) as metrics:
                port = metrics.sockets[0].getsockname()[1]
                supervisor.tell("info", f"metrics at http://127.0.0.1:{port}/metrics")
                return await supervisor.run()

        return asyncio.run(run())
