"""The media center's end of its decoding processes, which may die or hang.

What belongs here: starting, asking, giving up on, and replacing the processes. What does not: decoding (`decoding`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence

from media_center.decoding import ANSWER, CodedUnit, encode_request
from mesh.errors import DeadlineExceeded
from mesh.logs import get_logger
from mesh.masks import Masks
from mesh.process import child_environment

log = get_logger("media_center.decoder")

TIMEOUT_S = 45.0


class DecoderDied(RuntimeError):
    """The process ended while it decoded."""


class Decoder:
    """Decoding processes: each does one request at a time, and is replaced when it died or hung.

    Starts those that are needed; `warm` starts the first before anybody asks, since that takes longer than a picture.
    """

    def __init__(
        self, timeout_s: float = TIMEOUT_S, command: Sequence[str] | None = None, *, processes: int = 1
    ) -> None:
        self._timeout_s = timeout_s
        command = command or (sys.executable, "-m", "media_center.decoding")
        self._all = [_Process(command) for _ in range(max(1, processes))]
        # The one that was used last comes first: others are started only when several pictures are wanted at once.
        self._free: asyncio.LifoQueue[_Process] = asyncio.LifoQueue()
        for process in reversed(self._all):
            self._free.put_nowait(process)

    async def __aenter__(self) -> Decoder:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the processes."""
        for process in self._all:
            await process.end()

    async def warm(self) -> None:
        """Starts the first process, if none runs yet. If it cannot be started, whoever asks for a picture is told."""
        with contextlib.suppress(OSError):
            await self._all[0].ready()

    async def picture(self, codec: int, units: Sequence[CodedUnit], max_width: int, masks: Masks = ()) -> bytes:
        """The picture of the last unit as PNG, `masks` covered; empty if the units do not give it.

        Raises DecoderDied, and DeadlineExceeded after `timeout_s`. Either way, and when the caller is cancelled, the
        next request gets a new process.
        """
        process = await self._free.get()
        is_whole = False
        try:
            async with asyncio.timeout(self._timeout_s):
                png = await process.ask(codec, units, max_width, masks)
            is_whole = True
        except TimeoutError:
            raise DeadlineExceeded("snapshot", f"was not decoded within {self._timeout_s:g} s") from None
        except (OSError, asyncio.IncompleteReadError) as error:
            log.error("decoder died", frame=units[-1][0], error=type(error).__name__)
            raise DecoderDied from None
        finally:
            try:
                if not is_whole:
                    await process.end()
            finally:
                self._free.put_nowait(process)
        return png


class _Process:
    """One decoding process, which runs or will."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._running: asyncio.subprocess.Process | None = None

    async def ready(self) -> asyncio.subprocess.Process:
        """It runs."""
        process = self._running
        if process is None or process.returncode is not None:
            # Not a fork of a process that has gRPC: with neither preexec_fn nor pty this is vfork and exec.
            process = self._running = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=child_environment(),
            )
        return process

    async def end(self) -> None:
        """It ends."""
        process, self._running = self._running, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def ask(self, codec: int, units: Sequence[CodedUnit], max_width: int, masks: Masks = ()) -> bytes:
        """Asks it for a picture. Raises OSError, asyncio.IncompleteReadError."""
        process = await self.ready()
        assert process.stdin is not None
        assert process.stdout is not None
        for part in encode_request(codec, max_width, units, masks):
            process.stdin.write(part)
            await process.stdin.drain()
        (size,) = ANSWER.unpack(await process.stdout.readexactly(ANSWER.size))
        return await process.stdout.readexactly(size)
