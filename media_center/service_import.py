"""The call that takes a video file and makes footage of it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from typing import Any

from media_center.import_desk import Begun, Wanted
from media_center.import_run import Imported
from media_center.import_staging import Staging
from media_center.room import Room
from mesh.errors import Cancelled, InvalidArgument, ResourceExhausted, TrueframeError, Unavailable
from mesh.ids import validate_camera_id
from mesh.security import principal_of
from trueframe.v1 import footage_pb2

_MAX_CHUNK = 4 << 20
_TOLD_EVERY_BYTES = 8 << 20
_TOLD_EVERY_S = 0.25
_STALLED_S = 120.0
# Demuxing takes a core each; the recorder needs the others.
_AT_ONCE = 2


class ImportRoom(Room):
    """Imports."""

    _turns: asyncio.Semaphore | None = None

    async def ImportFootage(  # noqa: N802
        self, request_iterator: AsyncIterator[footage_pb2.ImportFootageRequest], context: Any
    ) -> AsyncIterator[footage_pb2.ImportFootageResponse]:
        """A file, in pieces; nothing of it is footage before the last answer."""
        principal = principal_of(context)
        parts = aiter(request_iterator)
        header = (await _next(parts)).header
        principal.require(validate_camera_id(header.camera))
        wanted = self._imports.check(header)
        self._turns = self._turns or asyncio.Semaphore(_AT_ONCE)
        async with self._turns, _staged(self._imports.staging(wanted)) as staging:
            begun = self._imports.begin(wanted, staging, staging.source(wanted.name))
            async for taken in _take(parts, wanted, begun):
                yield footage_pb2.ImportFootageResponse(bytes_done=taken)
            working = asyncio.create_task(asyncio.to_thread(begun.run.run))
            try:
                while not working.done():
                    await asyncio.wait([working], timeout=_TOLD_EVERY_S)
                    yield footage_pb2.ImportFootageResponse(
                        bytes_done=wanted.size_bytes, frames=begun.run.progress.frames
                    )
            finally:
                # A caller that went away: the folder is removed only once nobody writes to it any more.
                await _ended(working, begun)
            done = working.result()
            await asyncio.to_thread(staging.remove_source)
            placing = asyncio.create_task(self._imports.put_in_place(begun, done))
            try:
                await asyncio.shield(placing)
            finally:
                with contextlib.suppress(Exception):
                    await placing
        self._note(principal, "import", wanted.camera, done.first_ns, done.last_ns, wanted.name)
        yield _answer(wanted, done)


@contextlib.asynccontextmanager
async def _staged(staging: Staging) -> AsyncIterator[Staging]:
    """The private folder while it is needed. A disk that refuses is told as that."""
    try:
        staging.__enter__()
        try:
            yield staging
        finally:
            await asyncio.shield(asyncio.to_thread(staging.remove))
    except TrueframeError:  # some are OSErrors, too
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ResourceExhausted("footage disk", "is full", "Free some space, or import it in parts.") from None
        reason = f"refuses the import ({error.strerror or type(error).__name__})"
        raise Unavailable("footage disk", reason, "`trueframe storage` says how it is.") from None


async def _ended(working: asyncio.Task[Imported], begun: Begun) -> None:
    if not working.done():
        begun.run.cancel()
        with contextlib.suppress(Exception):
            await asyncio.shield(working)


async def _next(parts: AsyncIterator[footage_pb2.ImportFootageRequest]) -> footage_pb2.ImportFootageRequest:
    """The header. Raises InvalidArgument."""
    async with asyncio.timeout(_STALLED_S):
        part = await anext(parts, None)
    if part is None or part.WhichOneof("part") != "header":
        raise InvalidArgument("import", "does not begin with a header")
    return part


async def _take(
    parts: AsyncIterator[footage_pb2.ImportFootageRequest], wanted: Wanted, begun: Begun
) -> AsyncIterator[int]:
    """Writes the file to its private place; yields the bytes taken now and then. Raises InvalidArgument, Cancelled."""
    taken = told = 0
    with begun.run.source.open("xb") as file:
        while True:
            try:
                async with asyncio.timeout(_STALLED_S):
                    part = await anext(parts, None)
            except TimeoutError:
                raise Cancelled(f"file {wanted.name!r}", f"nothing more of it came for {_STALLED_S:g} s") from None
            if part is None:
                break
            chunk = part.chunk
            taken += len(chunk)
            if part.WhichOneof("part") != "chunk" or len(chunk) > _MAX_CHUNK or taken > wanted.size_bytes:
                raise InvalidArgument(f"file {wanted.name!r}", "is longer than told, or its pieces are too long")
            await asyncio.to_thread(file.write, chunk)
            if taken - told >= _TOLD_EVERY_BYTES:
                told = taken
                yield taken
    if taken < wanted.size_bytes:
        raise InvalidArgument(f"file {wanted.name!r}", f"{taken} of {wanted.size_bytes} bytes came", "Try again.")


def _answer(wanted: Wanted, done: Imported) -> footage_pb2.ImportFootageResponse:
    assert done.first is not None
    assert done.last is not None
    return footage_pb2.ImportFootageResponse(
        bytes_done=wanted.size_bytes,
        frames=done.frames,
        first=done.first.to_proto(),
        last=done.last.to_proto(),
        notes=done.notes,
    )
