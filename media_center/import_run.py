"""One import: a file read by a child process, cut and written like what a camera sends, put in place at the end.

What belongs here: driving the child and the writer's parts (cutter, lane, seals) over a private folder. What does not:
the call that brings the file (`service_import`), the folders (`import_staging`). Runs in a thread.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from broker.client import BatchReader, StreamItem, WireFrame
from media_center.catalogue import Segment
from media_center.chain import Chain
from media_center.cutter import Cutter, Fragment, Limits
from media_center.errors import DiskFull
from media_center.import_reading import DONE, HEAD, ITEMS, NOTE, REFUSED
from media_center.lane import Lane
from media_center.writer import free_bytes
from mesh.clocks import Clock
from mesh.errors import Cancelled, InvalidArgument
from mesh.ids import FrameId
from mesh.process import child_environment

_MAX_MESSAGE = 64 << 20
_SYNC_FRAGMENTS = 16
_SYNC_BYTES = 32 << 20


@dataclass(slots=True)
class Imported:
    """How far an import is, and what it is in the end."""

    frames: int = 0
    first: FrameId | None = None
    last: FrameId | None = None
    first_ns: int = 0
    last_ns: int = 0
    segments: list[Segment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class FileImport:
    """Writes the frames of one file. `run` in a thread; `cancel` in any."""

    def __init__(
        self,
        source: Path,
        name: str,
        folder: Path,
        chain: Chain,
        epoch: int,
        start_ns: int,
        limits: Limits,
        clock: Clock,
        min_free_bytes: int,
    ) -> None:
        """`name`: of the file, for messages; `folder`: where segments go; `chain`: makes their seals."""
        self.source = source
        """The file."""
        self._name = name
        self._camera = chain.camera
        self._epoch = epoch
        self._start_ns = start_ns
        self._clock = clock
        self._min_free_bytes = min_free_bytes
        self._folder = folder
        self._cutter = Cutter(chain.camera, limits)
        self._lane = Lane(chain.camera, folder, None, chain)
        self._waiting = 0
        self._waiting_bytes = 0
        self._cancelled = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self.progress = Imported()
        """Read by other threads."""

    def cancel(self) -> None:
        """Ends it soon; `run` raises Cancelled."""
        self._cancelled.set()
        if self._process is not None:
            self._process.kill()

    def run(self) -> Imported:
        """Reads and writes all. Raises InvalidArgument (the file), DiskFull, OSError (the disk), Cancelled."""
        try:
            for item in self._items():
                self._take(item)
            self._write(self._cutter.flush())
            self._lane.finish()
            self._sync()
        finally:
            self._lane.close()
        if self.progress.last_ns > self._clock.utc_ns():
            raise InvalidArgument(
                f"file {self._name!r}", "ends in the future with that start", "Give the time of its first picture."
            )
        return self.progress

    def _take(self, item: StreamItem) -> None:
        self._write(self._cutter.take(item, 0))
        if isinstance(item, WireFrame):
            done = self.progress
            if done.first is None:
                done.first, done.first_ns = item.id, item.received_ns
            done.last, done.last_ns = item.id, item.received_ns
            done.frames += 1

    def _write(self, fragments: list[Fragment]) -> None:
        for fragment in fragments:
            error = self._lane.write(fragment, self._clock.utc_ns())
            if error is not None:
                raise error
            self._waiting += 1
            self._waiting_bytes += fragment.size_bytes
        if self._waiting >= _SYNC_FRAGMENTS or self._waiting_bytes >= _SYNC_BYTES:
            free = free_bytes(self._folder)
            if free is not None and free < self._min_free_bytes:
                raise DiskFull.for_import(self._name, free, self._min_free_bytes)
            self._sync()

    def _sync(self) -> None:
        error = self._lane.sync(self._clock.utc_ns())
        if error is not None:
            raise error
        self.progress.segments += self._lane.commit().closed
        self._waiting = self._waiting_bytes = 0

    def _items(self) -> Iterator[StreamItem]:
        # With neither preexec_fn nor a pty this is vfork and exec: nothing of gRPC's is forked.
        process = self._process = subprocess.Popen(
            [
                sys.executable, "-m", "media_center.import_reading",
                str(self.source), self._camera, str(self._epoch), str(self._start_ns),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=child_environment(),
        )  # fmt: skip
        pipe = cast(BinaryIO, process.stdout)
        try:
            while not self._cancelled.is_set():
                head = pipe.read(HEAD.size)
                if len(head) < HEAD.size:
                    break
                kind, size = HEAD.unpack(head)
                body = pipe.read(size) if size <= _MAX_MESSAGE else b""
                if len(body) < size:
                    break
                if kind == ITEMS:
                    yield from BatchReader(body)
                elif kind == NOTE:
                    self.progress.notes.append(body.decode())
                elif kind == REFUSED:
                    refused = json.loads(body)
                    raise InvalidArgument(f"file {self._name!r}", refused["reason"], refused["remedy"])
                elif kind == DONE:
                    return
            if self._cancelled.is_set():
                raise Cancelled(f"import of {self._name!r}", "was given up")
            raise InvalidArgument(
                f"file {self._name!r}", "makes the demuxer fail", f"Mend it: ffmpeg -i {self._name} -c copy mended.mp4"
            )
        finally:
            process.kill()
            process.wait()
            pipe.close()
