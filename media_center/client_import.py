"""The part of both clients that brings video files into the archive."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_center.client_calls import errors
from mesh.errors import InvalidArgument, Unavailable
from mesh.ids import FrameId
from trueframe.v1 import footage_pb2

_CHUNK = 1 << 20
_CREATION_S = 60.0

ImportProgress = Callable[[int, int, int], None]
"""Called with the bytes sent so far, those of the whole file, and the frames recorded so far."""


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """A file that is footage now."""

    first: FrameId
    last: FrameId
    frames: int
    notes: tuple[str, ...]
    """What a human should know, such as tracks left out."""


class ImportCalls:
    """Part of FootageClient."""

    _stub: Any

    async def import_file(
        self, path: Path, camera: str, start_ns: int, progress: ImportProgress | None = None
    ) -> ImportedFile:
        """Makes footage of a video file: of `camera`, its first picture received at `start_ns` (UTC nanoseconds).

        All of it or nothing. Raises InvalidArgument (no such file, or none that can be carried), AlreadyExists,
        FailedPrecondition (the camera is live, or has later footage), ResourceExhausted.
        """
        size = size_of(path)
        call = self._stub.ImportFootage(_arequests(path, size, camera, start_ns))
        answer = None
        try:
            with errors():
                async for answer in call:
                    if progress is not None:
                        progress(answer.bytes_done, size, answer.frames)
        finally:
            call.cancel()
        return _done(answer, path)


class SyncImportCalls:
    """Part of SyncFootageClient."""

    _stub: Any

    def import_file(
        self, path: Path, camera: str, start_ns: int, progress: ImportProgress | None = None
    ) -> ImportedFile:
        """As FootageClient.import_file."""
        size = size_of(path)
        call = self._stub.ImportFootage(_requests(path, size, camera, start_ns))
        answer = None
        try:
            with errors():
                for answer in call:
                    if progress is not None:
                        progress(answer.bytes_done, size, answer.frames)
        finally:
            call.cancel()
        return _done(answer, path)


def creation_time(path: Path) -> int | None:
    """When a video file says that it was begun, UTC nanoseconds; None if it does not say. Raises InvalidArgument.

    Read in a child process: the file may be hostile.
    """
    size_of(path)
    done = subprocess.run(
        [sys.executable, "-m", "media_center.import_reading", "--creation", str(path)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_CREATION_S, check=False,
    )  # fmt: skip
    if done.returncode and done.stderr.startswith("file "):
        raise InvalidArgument("", done.stderr.strip())
    said = done.stdout.strip()
    return int(said) if said.isdigit() else None


def size_of(path: Path) -> int:
    """Bytes of a file that is to be imported. Raises InvalidArgument."""
    try:
        if not path.is_file():
            raise InvalidArgument(f"file {path}", "does not exist or is no file", "Name a video file.")
        with path.open("rb"):
            return path.stat().st_size
    except OSError as error:
        raise InvalidArgument(f"file {path}", f"cannot be read ({error.strerror})", "Name a video file.") from None


def _requests(path: Path, size: int, camera: str, start_ns: int) -> Iterator[footage_pb2.ImportFootageRequest]:
    header = footage_pb2.ImportHeader(camera=camera, start_ns=start_ns, file_name=path.name, size_bytes=size)
    yield footage_pb2.ImportFootageRequest(header=header)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield footage_pb2.ImportFootageRequest(chunk=chunk)


async def _arequests(
    path: Path, size: int, camera: str, start_ns: int
) -> AsyncIterator[footage_pb2.ImportFootageRequest]:
    """The same without holding up the event loop while the disk reads."""
    requests = _requests(path, size, camera, start_ns)
    while (request := await asyncio.to_thread(next, requests, None)) is not None:
        yield request


def _done(answer: footage_pb2.ImportFootageResponse | None, path: Path) -> ImportedFile:
    if answer is None or not answer.HasField("last"):
        raise Unavailable(f"import of {path}", "ended without an answer", "Try again.")
    first, last = FrameId.from_proto(answer.first), FrameId.from_proto(answer.last)
    return ImportedFile(first, last, answer.frames, tuple(answer.notes))
