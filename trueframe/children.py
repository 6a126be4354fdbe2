"""One child process: started, waited for, read, restarted when it dies, stopped.

What should not be in this module: which children there are and in what order (`supervisor`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mesh.errors import FailedPrecondition
from trueframe.log_files import BoundedLog
from trueframe.restarts import Restarts

READY_POLL_S = 0.05
LONGEST_LINE = 1 << 16
ERROR_EVERY_S = 10.0


def error_in(line: str) -> str:
    """What a line of a service's log tells as an error; empty if it tells none. Both forms of `mesh.logs` are read."""
    if line.startswith("{"):
        try:
            record = json.loads(line)
        except ValueError:
            return ""
        return str(record.get("message", "")) if record.get("level") == "error" else ""
    _, _, rest = line.partition(" error ")
    stamped = len(line) > 24 and line[10:11] == "T" and line[23:31] == "Z error "
    return rest.strip().partition(" ")[2] if stamped else ""


async def alive_is_enough() -> bool:
    """Readiness of children that serve nothing."""
    return True


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run. `is_ready` is asked until it says yes; `on_line` sees every line of standard output."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    is_ready: Callable[[], Awaitable[bool]] = alive_is_enough
    on_line: Callable[[str], None] | None = None
    ready_within_s: float = 60.0
    stop_within_s: float = 10.0


class Child:
    """Keeps one process running. All methods belong to one event loop."""

    def __init__(self, spec: ChildSpec, log: Path, tell: Callable[[str, str], None]) -> None:
        """`tell(level, text)` reports to the user; level is "info", "warning" or "error"."""
        self.spec = spec
        self.restarts = Restarts()
        self.is_ready = False
        self._log = BoundedLog(log)
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._became_ready = asyncio.Event()
        self._failure: FailedPrecondition | None = None
        self._told_error_at = float("-inf")
        self._errors_untold = 0

    @property
    def pid(self) -> int | None:
        """The process id while it lives."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process and running else None

    def start(self) -> None:
        """Begins to keep the process running."""
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.spec.name}")

    async def wait_ready(self) -> None:
        """Returns once the child is ready. Raises FailedPrecondition if it cannot be started."""
        try:
            async with asyncio.timeout(self.spec.ready_within_s):
                await self._became_ready.wait()
        except TimeoutError:
            raise self._not_started(f"is not ready after {self.spec.ready_within_s:.0f} s") from None
        if self._failure:
            raise self._failure

    def _not_started(self, reason: str) -> FailedPrecondition:
        said = next((line for line in reversed(self._log.last_lines) if line.strip()), "")
        return FailedPrecondition(
            self.spec.name, f"{reason}: {said[:400]}" if said else reason, f"The whole story is in {self._log.path}"
        )

    async def _keep(self) -> None:
        while True:
            started = time.monotonic()
            code = await self._live_once()
            uptime = time.monotonic() - started
            was_ready, self.is_ready = self.is_ready, False
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            # Exit code 2 is "bad input": trying again changes nothing.
            if not self._became_ready.is_set() and (code == 2 or self.restarts.count >= 2):
                self._failure = self._not_started(how)
                self._became_ready.set()
                return
            delay = self.restarts.delay_after(uptime)
            text = f"{self.spec.name} {how} after {uptime:.1f} s; starting it again in {delay:g} s"
            self._tell("warning" if was_ready else "error", text)
            await asyncio.sleep(delay)

    async def _live_once(self) -> int:
        self._log.write(f"--- {self.spec.name} starts at {time.strftime('%Y-%m-%dT%H:%M:%S%z')}\n".encode())
        process = await asyncio.create_subprocess_exec(
            *self.spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(self.spec.environment),
            limit=LONGEST_LINE,
            # A session of its own: Ctrl-C in the terminal reaches the supervisor, which stops children in order.
            start_new_session=True,
        )
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        readers = [
            asyncio.create_task(self._read(process.stdout, self.spec.on_line)),
            asyncio.create_task(self._read(process.stderr, self._look_for_errors)),
            asyncio.create_task(self._watch_readiness()),
        ]
        try:
            code = await process.wait()
            await asyncio.wait(readers[:2], timeout=1.0)
            return code
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def _watch_readiness(self) -> None:
        while not await self.spec.is_ready():  # noqa: ASYNC110 (the condition is in another process)
            await asyncio.sleep(READY_POLL_S)
        self.is_ready = True
        if self._became_ready.is_set():
            self._tell("info", f"{self.spec.name} is back")
        self._became_ready.set()

    async def _read(self, stream: asyncio.StreamReader, on_line: Callable[[str], None] | None) -> None:
        while True:
            try:
                line = await stream.readuntil(b"\n")
            except asyncio.IncompleteReadError as end:
                if end.partial:
                    self._log.write(end.partial + b"\n")
                return
            except asyncio.LimitOverrunError as over:
                line = await stream.readexactly(over.consumed)
            self._log.write(line)
            if on_line is not None:
                on_line(line.decode(errors="replace").rstrip("\n"))

    def _look_for_errors(self, line: str) -> None:
        if not (error := error_in(line)):
            return
        now = time.monotonic()
        if now - self._told_error_at < ERROR_EVERY_S:
            self._errors_untold += 1
            return
        untold, self._errors_untold, self._told_error_at = self._errors_untold, 0, now
        more = f" (and {untold} more before it, in {self._log.path})" if untold else ""
        self._tell("error", f"{self.spec.name}: {error[:600]}{more}")

    async def stop(self) -> None:
        """Asks the process to end, waits, and makes it end after `stop_within_s`."""
        process = self._process
        if process is not None and process.returncode is None:
            # The keeper must not take the end for a death.
            if self._keeper:
                self._keeper.cancel()
                await asyncio.gather(self._keeper, return_exceptions=True)
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(self.spec.stop_within_s):
                    await self._drain(process)
            except TimeoutError:
                self._tell("warning", f"{self.spec.name} did not stop within {self.spec.stop_within_s:.0f} s; killed")
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        elif self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self.is_ready = False
        self._log.close()

    async def _drain(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        await asyncio.gather(self._read(process.stdout, None), self._read(process.stderr, None), process.wait())
