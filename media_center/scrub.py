"""Footage compared with its digests, seals and chain, over and over: in the background, and at once when asked.

What belongs here: which segment is next, at what pace, what was found, and how far the round is, so that a restart does
not begin again. What does not: the comparing (`verify_segment`, `verify_camera`) and the rpc (`service_proof`).

The background round runs in a thread of low priority and reads so fast that all footage is seen in `scrub_days`. It
waits while the disk is slow: recording goes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from media_center.archive import Archive
from media_center.away import place_of
from media_center.errors import NeverRecorded
from media_center.keys import KeyRing, TrustedKeys
from media_center.system_events import SystemEvents
from media_center.verify_camera import CameraCheck
from media_center.verify_report import Finding, Report
from media_center.verify_segment import Pace, examine
from mesh.clocks import Clock
from mesh.errors import TrueframeError
from mesh.files import write_atomic
from mesh.logs import get_logger

log = get_logger("media_center.scrub")

CONDITION = "damaged_footage"
_MIN_RATE = 1 << 20
"""Bytes a second at least, however little there is."""
_IDLE_S = 60.0
_SAVE_EVERY_NS = 30_000_000_000
_LOW_PRIORITY = 15
_MAX_LOGGED = 20
_MAX_KEPT = 10_000


class Cancelled(Exception):
    """The work is to end."""


@dataclass(frozen=True, slots=True)
class CameraFinding:
    """A finding and whose it is."""

    camera: str
    finding: Finding


@dataclass(slots=True)
class Progress:
    """How far a scrub is."""

    segments: int = 0
    segments_done: int = 0
    bytes_done: int = 0
    findings: list[CameraFinding] = field(default_factory=list)


@dataclass(slots=True)
class ScrubState:
    """What is remembered across restarts."""

    finished_ns: int = 0
    """UTC nanoseconds at which a round was complete; 0 if never."""
    camera: str = ""
    segment: str = ""
    """The last segment of the round under way that was looked at; empty between rounds."""
    damaged: dict[str, list[str]] = field(default_factory=dict)
    """Names of segments with findings, by camera; an empty name stands for the chain."""

    def encode(self) -> bytes:
        """As a file."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields).encode()

    @classmethod
    def read(cls, path: Path) -> ScrubState:
        """Out of a file; a new state if there is none that can be read."""
        try:
            found = json.loads(path.read_bytes())
            damaged = {str(camera): [str(name) for name in names] for camera, names in found["damaged"].items()}
            return cls(int(found["finished_ns"]), str(found["camera"]), str(found["segment"]), damaged)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()


class Scrubber:
    """Scrubs the footage of one media center."""

    def __init__(
        self, archive: Archive, ring: Path, events: SystemEvents, clock: Clock, state_file: Path, *,
        scrub_days: float, is_busy: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """`ring`: file of the keys that are believed. `is_busy`: the disk has no time for this now."""
        self._archive = archive
        self._ring = ring
        self._events = events
        self._clock = clock
        self._state_file = state_file
        self._scrub_s = scrub_days * 86_400
        self._is_busy = is_busy
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._saved_ns = 0
        self._state = ScrubState.read(state_file)
        self.bytes_done = 0
        self.segments_done = 0
        self.findings = 0
        """Told since the start; the same one may be told again in a later round."""

    @property
    def finished_ns(self) -> int:
        """UTC nanoseconds at which all footage had been looked at; 0 if never."""
        return self._state.finished_ns

    @property
    def damaged_segments(self) -> int:
        """Segments with findings, and chains, that have not been found good since."""
        with self._lock:
            return sum(map(len, self._state.damaged.values()))

    async def run(self) -> None:
        """Scrubs in the background until cancelled."""
        for camera in self._archive.cameras():
            self._tell(camera)
        if not self._scrub_s:
            await asyncio.Event().wait()
        thread = threading.Thread(target=self._background, name="footage-scrub", daemon=True)
        thread.start()
        try:
            await asyncio.Event().wait()
        finally:
            self._stopping.set()
            await asyncio.shield(asyncio.to_thread(thread.join, 5))

    def _background(self) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW_PRIORITY)
        with contextlib.suppress(Cancelled):
            while True:
                try:
                    self._round()
                except (TrueframeError, OSError) as error:
                    log.error("scrub interrupted", reason=str(error))
                self._wait(_IDLE_S)

    def _wait(self, duration_s: float) -> None:
        if self._stopping.wait(duration_s):
            raise Cancelled

    def _round(self) -> None:
        """Goes on with the round under way, or begins one when it is time."""
        state = self._state
        cameras = self._archive.cameras()
        is_due = not state.finished_ns or self._clock.utc_ns() - state.finished_ns >= self._scrub_s * 5e8
        if not cameras or not (state.camera or is_due):
            return
        # Half of the time for a round, half of it between two: nothing waits longer than all of it.
        pace = self._pace(max(_MIN_RATE, self._archive.size_bytes() / (self._scrub_s / 2)))
        for camera in cameras:
            if camera >= state.camera:
                after = state.segment if camera == state.camera else ""
                for _ in self._scrub_camera(camera, Progress(), pace, after, is_background=True):
                    pass
        state.finished_ns, state.camera, state.segment = self._clock.utc_ns(), "", ""
        self._save(is_due=True)
        log.info("scrub complete", damaged_segments=self.damaged_segments)

    def _pace(self, rate: float) -> Pace:
        """Waits so that no more than `rate` bytes a second are read."""
        due_s = time.monotonic()

        def pace(size: int) -> None:
            nonlocal due_s
            now_s = time.monotonic()
            due_s = max(due_s, now_s - 1) + size / rate
            if due_s - now_s > 0.05:
                self._wait(due_s - now_s)
            while self._is_busy():
                self._wait(1)

        return pace

    def scrub(self, cameras: Sequence[str], stop: threading.Event) -> Iterator[Progress]:
        """Scrubs cameras at once, as fast as the disk gives; tells progress after every segment, each finding once.

        Blocks: ask for the next one in a thread. Ends early when `stop` is set. Raises NeverRecorded.
        """
        views = [self._archive.footage(camera).view for camera in cameras]
        progress = Progress(segments=sum(len(view) - (len(view) > 0 and view.is_open(len(view) - 1)) for view in views))

        def pace(_: int) -> None:
            if stop.is_set() or self._stopping.is_set():
                raise Cancelled

        with contextlib.suppress(Cancelled):
            for camera in cameras:
                yield from self._scrub_camera(camera, progress, pace)

    def _scrub_camera(
        self, camera: str, progress: Progress, pace: Pace, after: str = "", *, is_background: bool = False
    ) -> Iterator[Progress]:
        try:
            view = self._archive.footage(camera).view
        except NeverRecorded:
            return  # retention was faster
        folder = view.folder
        opened = {view[len(view) - 1].name} if len(view) and view.is_open(len(view) - 1) else set()
        newest = view[len(view) - 1].name if len(view) else ""

        # What was recorded since is another round's.
        check = CameraCheck([folder], self._trusted(), lambda name: name in opened or name > newest)
        told: set[Finding] = set()
        for path in check.paths:
            # What lies in a bucket was proved on its way, and is when it is fetched: no round fetches all of it.
            if path.name <= after or (is_background and place_of(path) is not None):
                check.pass_by(path)
                continue
            size = 0

            def counted(count: int) -> None:
                nonlocal size
                size += count
                pace(count)

            report = check.take(examine(path, counted))
            findings = [*report.findings, *_unknown_keys(report, path.name)]
            told.update(findings)
            self._note(camera, path.name, findings)
            self.bytes_done += size
            self.segments_done += 1
            progress.segments_done += 1
            progress.bytes_done += size
            progress.findings += [CameraFinding(camera, finding) for finding in findings]
            if is_background:
                _forget_pages(path)
                self._state.camera, self._state.segment = camera, path.name
                self._save()
            yield progress
        known = {path.name for path in check.paths}
        chain = [finding for finding in check.finish().findings if finding not in told]
        self._note(camera, "", chain)
        self._forget(camera, known)
        progress.findings += [CameraFinding(camera, finding) for finding in chain]
        self._tell(camera)
        yield progress

    def _trusted(self) -> TrustedKeys:
        return TrustedKeys(rings=[KeyRing.read(self._ring)])

    def _note(self, camera: str, name: str, findings: Sequence[Finding]) -> None:
        """Remembers, logs and tells what was found of a segment, or without a name of the chain: findings or none."""
        with self._lock:
            names = self._state.damaged.setdefault(camera, [])
            is_new = bool(findings) and name not in names
            if is_new and len(names) < _MAX_KEPT:
                names.append(name)
            elif not findings and name in names:
                names.remove(name)
            if not names:
                del self._state.damaged[camera]
        self.findings += len(findings)
        if is_new:
            for finding in findings[:_MAX_LOGGED]:
                log.error("footage is not as it was recorded", camera=camera, finding=finding.text())
            self._save(is_due=True)
            self._tell(camera)

    def _forget(self, camera: str, known: set[str]) -> None:
        """Segments that are gone are damaged no more; if they should not be gone, the chain says so."""
        with self._lock:
            names = [name for name in self._state.damaged.get(camera, []) if not name or name in known]
            if names:
                self._state.damaged[camera] = names
            else:
                self._state.damaged.pop(camera, None)

    def _tell(self, camera: str) -> None:
        with self._lock:
            names = list(self._state.damaged.get(camera, []))
        segments = [name for name in names if name]
        what = f"{len(segments)} segments are not as they were recorded" if segments else "segments are missing"
        summary = f"Footage of {camera}: {what}. `trueframe scrub {camera}` tells which frames."
        self._events.tell(
            CONDITION, holds=bool(names), summary=summary if names else f"Footage of {camera} is sound", camera=camera,
            priority=2, facts={"segments": segments[:20]},
        )  # fmt: skip

    def _save(self, *, is_due: bool = False) -> None:
        now_ns = self._clock.monotonic_ns()
        if not is_due and now_ns - self._saved_ns < _SAVE_EVERY_NS:
            return
        self._saved_ns = now_ns
        with self._lock:
            data = self._state.encode()
        with contextlib.suppress(OSError):  # then a restart begins the round again
            write_atomic(self._state_file, data)


def _unknown_keys(report: Report, name: str) -> list[Finding]:
    """Segments of a media center are sealed with its own keys."""
    return [Finding("seal", f"is sealed with key {key}, which is not ours", name) for key in report.unknown_signers]


def _forget_pages(path: Path) -> None:
    """What was read for scrubbing alone need not push other pages out of memory."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)
