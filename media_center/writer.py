"""The writer thread: takes closed fragments of all cameras, writes and syncs them in rounds, tells what is confirmed.

What belongs here: the bounded queue, the rhythm of rounds, free space. What does not: one camera's files (`lane`).

One round serves every camera: write all that waits, `fdatasync` each file touched, commit the indexes, announce. Rounds
begin at most half of `sync_s` apart, so that a frame is confirmed within `fragment_s + sync_s` while the disk keeps up.
When it does not, the queue fills to its bound and further fragments are left out and counted: memory never grows, and
nobody waits.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from media_center.chain import Chain
from media_center.cutter import Fragment
from media_center.folder_notes import FolderNotes
from media_center.lane import Commit, Lane
from media_center.losses import Losses
from media_center.seal import Signer
from media_center.storage_health import Reading, RoundTimes
from mesh.clocks import Clock
from mesh.errors import Unavailable
from mesh.ids import FrameId
from mesh.logs import get_logger, rate_limited

log = get_logger("media_center.writer")

QUEUE_BYTES = 256 << 20
"""Closed fragments that may wait for the disk, all cameras together."""
_SYNCS_AT_ONCE = 4
# A camera that is gone since its last write was refused does not ail for ever.
_REFUSAL_FADES_NS = 60_000_000_000


class FootageWriter:
    """Owns the lanes. `submit` may be called from any one thread; `on_commit` is called in the writer thread."""

    def __init__(
        self,
        root: Path,
        lanes: dict[str, Lane],
        on_commit: Callable[[list[Commit]], None],
        clock: Clock,
        *,
        sync_s: float = 1.0,
        min_free_bytes: int = 0,
        queue_bytes: int = QUEUE_BYTES,
        signer: Signer | None = None,
        notes: FolderNotes | None = None,
    ) -> None:
        """`signer`: seals the segments of cameras that are not among the lanes yet. `notes`: kept of their names."""
        self._root = root
        self._lanes = lanes
        self._on_commit = on_commit
        self._clock = clock
        self._spacing_s = sync_s / 2
        self._min_free_bytes = min_free_bytes
        self._queue_bytes = queue_bytes
        self._signer = signer
        self._notes = notes
        lock = threading.Lock()
        self._condition = threading.Condition(lock)
        # Apart, so that a fragment that comes between two rounds does not wake the thread for nothing.
        self._stopping = threading.Condition(lock)
        self._queue: list[Fragment] = []
        self._jobs: list[tuple[Callable[[dict[str, Lane]], None], Future[None]]] = []
        self._queued_bytes = 0
        self._overflow: dict[str, Losses] = {}
        self._submitted: dict[str, FrameId] = {}
        self._overflowed_frames = 0
        self._is_stopping = False
        self._syncing = ThreadPoolExecutor(_SYNCS_AT_ONCE, thread_name_prefix="footage-sync")
        self._thread = threading.Thread(target=self._run, name="footage-writer", daemon=True)
        self._is_in_round = False
        self._settled_ns = 0
        self._refusals: dict[str, tuple[str, int]] = {}
        self.times = RoundTimes()
        """How long rounds take."""
        self.rounds = 0
        self.is_full = False
        """The disk has less free space than it must keep: nothing is recorded."""

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    @property
    def queued_bytes(self) -> int:
        """About what waits for the disk in memory."""
        return self._queued_bytes

    @property
    def lost_frames(self) -> int:
        """Frames that could not be written, all cameras together."""
        return self._overflowed_frames + sum(lane.lost_frames for lane in list(self._lanes.values()))

    def reading(self) -> Reading:
        """How it goes with the disk at this moment."""
        now_ns = self._clock.monotonic_ns()
        refusals = {
            camera: reason for camera, (reason, at_ns) in self._refusals.items() if now_ns - at_ns < _REFUSAL_FADES_NS
        }
        return Reading(now_ns, self._queued_bytes, self._queue_bytes, self.lost_frames, self.is_full, refusals)

    @property
    def settled_ns(self) -> int:
        """What was submitted up to this moment, UTC nanoseconds, is on disk or told as lost."""
        with self._condition:
            return self._settled_ns if self._queue or self._is_in_round else self._clock.utc_ns()

    def submit(self, fragment: Fragment) -> bool:
        """Hands over a fragment. If the queue is full its frames are dropped, counted and told; returns False then."""
        camera = fragment.camera
        overflow = self._overflow.get(camera)
        with self._condition:
            if self._queued_bytes + fragment.size_bytes > self._queue_bytes:
                if overflow is None:
                    overflow = self._overflow[camera] = Losses()
                after = self._submitted.get(camera)
                self._overflowed_frames += overflow.drop(fragment, after, self._clock.utc_ns())
                return False
            if overflow is not None:
                fragment.lost = overflow.notes(fragment.first)
                del self._overflow[camera]
            self._queue.append(fragment)
            self._queued_bytes += fragment.size_bytes
            self._condition.notify()
        if fragment.last is not None:
            self._submitted[camera] = fragment.last
        return True

    def lane(self, camera: str) -> Lane | None:
        """A camera's lane, to look at; None if nothing was ever recorded of it."""
        return self._lanes.get(camera)

    def between_rounds(self, job: Callable[[dict[str, Lane]], None]) -> Future[None]:
        """Has the writer thread do something short with its lanes, by camera, while no round is under way."""
        done: Future[None] = Future()
        with self._condition:
            if self._is_stopping:
                done.set_exception(Unavailable("media center", "is stopping", "Try again."))
                return done
            self._jobs.append((job, done))
            self._condition.notify()
        return done

    def finish(self, camera: str) -> Future[None]:
        """Closes a camera's open segment for good, though none follows: its footage is old enough to be deleted."""

        def job(lanes: dict[str, Lane]) -> None:
            lane = lanes.get(camera)
            if lane is not None and lane.is_open:
                lane.finish()
                self._report(camera, "synced", lane.sync(self._clock.utc_ns()), {})
                self._on_commit([lane.commit()])

        return self.between_rounds(job)

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Writes and syncs what waits, closes everything. Returns whether that was done in time."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify()
            self._stopping.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while self._wait():
                began_s = time.monotonic()
                self._do_jobs()
                try:
                    self._round()
                except Exception:
                    log.exception("a round of writing failed")
                self.rounds += 1
                self._pause(began_s + self._spacing_s - time.monotonic())
        finally:
            # Each seals what is open and waits for the disk: at once rather than one after the other.
            list(self._syncing.map(self._close, list(self._lanes.values())))
            self._syncing.shutdown()
            if self._notes is not None:
                for lane in self._lanes.values():
                    lane.has_new_names = True  # seals have changed the heads of chains
                self._note_names(self._notes, list(self._lanes))

    def _close(self, lane: Lane) -> None:
        try:
            lane.close(self._clock.utc_ns())
        except Exception:
            log.exception("a camera's files could not be closed in order")

    def _wait(self) -> bool:
        """Waits for fragments and jobs; False when there are none and none will come."""
        with self._condition:
            while not self._queue and not self._jobs and not self._is_stopping:
                self._condition.wait()
            return bool(self._queue or self._jobs)

    def _do_jobs(self) -> None:
        with self._condition:
            jobs, self._jobs = self._jobs, []
        for job, done in jobs:
            try:
                job(self._lanes)
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(None)

    def _pause(self, duration_s: float) -> None:
        with self._condition:
            if duration_s > 0 and not self._is_stopping:
                self._stopping.wait_for(lambda: self._is_stopping, duration_s)

    def _round(self) -> None:
        with self._condition:
            work, self._queue = self._queue, []
            self._is_in_round = True
            now_ns = self._clock.utc_ns()
        self._look_at_space()
        self.times.begin(self._clock.monotonic_ns())
        try:
            self._write(work, now_ns)
        finally:
            self.times.end(self._clock.monotonic_ns())
        with self._condition:
            self._settled_ns = now_ns
            self._is_in_round = False

    def _write(self, work: list[Fragment], now_ns: int) -> None:
        touched: set[str] = set()
        unsynced: set[str] = set()
        refused: dict[str, tuple[str, int]] = {}
        while work:
            work = self._write_part(work, now_ns, touched, unsynced, refused)
        if self._notes is not None:
            self._note_names(self._notes, touched)
        others = {camera: told for camera, told in self._refusals.items() if camera not in touched}
        self._refusals = others | refused

    def _write_part(
        self, work: list[Fragment], now_ns: int, touched: set[str], unsynced: set[str],
        refused: dict[str, tuple[str, int]],
    ) -> list[Fragment]:  # fmt: skip
        """Writes, syncs and commits what may be written now; returns what has to wait for that.

        A camera whose sync was refused in this round is `unsynced` and not tried again in it: a disk that hangs before
        it refuses would hang as often.
        """
        lanes: dict[str, Lane] = {}
        waiting: dict[str, list[Fragment]] = {}
        for fragment in work:
            camera = fragment.camera
            lane = self._lane(camera)
            if self.is_full or camera in unsynced:
                lane.drop(fragment, now_ns)
            elif camera in waiting or lane.must_sync_before(fragment):
                waiting.setdefault(camera, []).append(fragment)
                continue
            else:
                self._report(camera, "written", lane.write(fragment, now_ns), refused)
                lanes[camera] = lane
            with self._condition:
                self._queued_bytes -= fragment.size_bytes
        dirty = [lane for lane in lanes.values() if lane.is_dirty]
        for camera, error in self._sync(dirty, now_ns):
            self._report(camera, "synced", error, refused)
            if error is not None:
                unsynced.add(camera)
        touched.update(lanes)
        commits = [lane.commit() for lane in lanes.values()]
        if commits:
            self._on_commit(commits)
        return [fragment for fragments in waiting.values() for fragment in fragments]

    def _note_names(self, notes: FolderNotes, cameras: Iterable[str]) -> None:
        for camera in cameras:
            lane = self._lanes[camera]
            if lane.has_new_names:
                lane.has_new_names = False
                notes.names(camera, lane.closed_names if lane.is_catalogued else None, lane.open_name)
        notes.flush()

    def _sync(self, lanes: list[Lane], now_ns: int) -> list[tuple[str, Exception | None]]:
        """Brings lanes to the disk: at once, since a journal commits for all who wait for it. Errors by camera.

        Each thread takes the next lane by itself: waking one for every file costs more than the file.
        """
        waiting = deque(lanes)
        done: list[tuple[str, Exception | None]] = []

        def work() -> None:
            while waiting:
                try:
                    lane = waiting.popleft()
                except IndexError:
                    return
                done.append((lane.camera, lane.sync(now_ns)))

        helpers = [self._syncing.submit(work) for _ in range(min(_SYNCS_AT_ONCE, len(lanes)) - 1)]
        try:
            work()
        finally:
            wait(helpers)
        for helper in helpers:
            helper.result()
        return done

    def _lane(self, camera: str) -> Lane:
        lane = self._lanes.get(camera)
        if lane is None:
            folder = self._root / camera
            chain = Chain(camera, folder, self._signer) if self._signer is not None else None
            lane = self._lanes[camera] = Lane(camera, folder, None, chain)
        return lane

    def _look_at_space(self) -> None:
        free = free_bytes(self._root)
        is_full = free is None or free < self._min_free_bytes
        if is_full and rate_limited("footage disk full", 10):
            log.error("disk full: not recording", folder=self._root, free_bytes=free, needed_bytes=self._min_free_bytes)
        if self.is_full and not is_full:
            log.info("disk has space again: recording", folder=self._root, free_bytes=free)
        self.is_full = is_full

    def _report(self, camera: str, what: str, error: Exception | None, refused: dict[str, tuple[str, int]]) -> None:
        if error is None:
            return
        reason = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
        if isinstance(error, OSError):
            refused[camera] = (reason, self._clock.monotonic_ns())
        if rate_limited(f"footage {what} {camera}", 10):
            log.error(f"footage could not be {what}: told as a gap", camera=camera, reason=reason)


def free_bytes(folder: Path) -> int | None:
    """Bytes that may still be written to the disk of a folder; None if the folder is not there."""
    found = disk_bytes(folder)
    return found[1] if found is not None else None


def disk_bytes(folder: Path) -> tuple[int, int] | None:
    """Bytes of the disk of a folder in all, and those that may still be written; None if the folder is not there."""
    try:
        state = os.statvfs(folder)
    except OSError:
        return None
    return state.f_blocks * state.f_frsize, state.f_bavail * state.f_frsize
