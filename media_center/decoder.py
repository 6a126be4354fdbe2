"""The media center's end of its decoding process: one request at a time, a process that may die or hang.

What belongs here: starting, asking, giving up on, and replacing the process. What does not: decoding (`decoding`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence

from media_center.decoding import ANSWER, CodedUnit, encode_request
from mesh.errors import DeadlineExceeded
from mesh.logs import get_logger
from mesh.process import child_environment

log = get_logger("media_center.decoder")

TIMEOUT_S = 45.0


class DecoderDied(RuntimeError):
    """The process ended while it decoded."""


class Decoder:
    """A decoding process, started when it is first needed and again after it died."""

    def __init__(self, timeout_s: float = TIMEOUT_S, command: Sequence[str] | None = None) -> None:
        self._timeout_s = timeout_s
        self._command = command or (sys.executable, "-m", "media_center.decoding")
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Decoder:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def picture(self, codec: int, units: Sequence[CodedUnit], max_width: int) -> bytes:
        """The picture of the last unit as PNG; empty if the units do not give it.

        Raises DecoderDied, and DeadlineExceeded after `timeout_s`. Either way, and when the caller is cancelled, the
        next request gets a new process.
        """
        async with self._turn:
            is_whole = False
            try:
                async with asyncio.timeout(self._timeout_s):
                    png = await self._ask(codec, units, max_width)
                is_whole = True
            except TimeoutError:
                raise DeadlineExceeded("snapshot", f"was not decoded within {self._timeout_s:g} s") from None
            except (OSError, asyncio.IncompleteReadError) as error:
                log.error("decoder died", frame=units[-1][0], error=type(error).__name__)
                raise DecoderDied from None
            finally:
                if not is_whole:
                    await self.close()
            return png

    async def _ask(self, codec: int, units: Sequence[CodedUnit], max_width: int) -> bytes:
        process = self._process
        if process is None or process.returncode is not None:
            # Not a fork of a process that has gRPC: with neither preexec_fn nor pty this is vfork and exec.
            process = self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=child_environment(),
            )
        assert process.stdin is not None
        assert process.stdout is not None
        for part in encode_request(codec, max_width, units):
            process.stdin.write(part)
            await process.stdin.drain()
        (size,) = ANSWER.unpack(await process.stdout.readexactly(ANSWER.size))
        return await process.stdout.readexactly(size)
