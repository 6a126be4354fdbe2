"""The local cache of segments that lie in a bucket: fetched whole when needed, the longest unused gone first.

What belongs here: one fetch for all who wait, bounds in bytes, time and number, checking what came. What does not: the
bucket (`bucket`), moving and deleting (`bucket_tier`), opening (`away`). Thread-safe.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from pathlib import Path

from media_center.away import Stub
from media_center.bucket import Bucket
from media_center.writer import free_bytes
from mesh.logs import get_logger
from mesh.metrics import counter

log = get_logger("media_center.bucket")

_AT_ONCE = 4
_LONGEST_S = 120.0
# A bucket that is away, or has not what it should, is asked by one reader in so long, and the others are told at once.
_AWAY_S = 5.0
_MAX_REFUSED = 256
PART = ".part"

_fetched = counter("media_center_fetched_segments", "Segments fetched from the bucket, by outcome.", ("outcome",))


class BucketCache:
    """Files of a bucket, for a while."""

    def __init__(self, folder: Path, bucket: Bucket, limit_bytes: int, min_free_bytes: int = 0) -> None:
        """`min_free_bytes`: nothing is fetched that would leave less on the disk, for then recording would stop."""
        self.folder = folder
        self.problem = ""
        """Why the bucket could not be reached last; empty when it could."""
        self._bucket = bucket
        self._limit = limit_bytes
        self._min_free = min_free_bytes
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._known: OrderedDict[Path, int] = OrderedDict()
        self._under_way: dict[Path, Future[None]] = {}
        self._refused: OrderedDict[Path, tuple[float, OSError]] = OrderedDict()
        self._is_loaded = False
        self._away_until = 0.0

    def load(self) -> None:
        """Takes up what is there, and clears up what a crash left; once. Raises OSError."""
        if self._is_loaded:
            return
        found = []
        for path in self.folder.glob("*/*"):
            if path.name.endswith(PART):
                path.unlink(missing_ok=True)
            elif path.suffix == ".mp4":
                state = path.stat()
                found.append((state.st_atime_ns, path, state.st_size))
        with self._lock:
            self._known = OrderedDict((path, size) for _, path, size in sorted(found))
            self._make_room(0)
        self._is_loaded = True

    @property
    def bytes(self) -> int:
        """Of files in the cache."""
        with self._lock:
            return sum(self._known.values())

    def fetch(self, place: Path) -> Path:
        """Makes sure of a file; who comes while it is fetched waits for that. Raises OSError."""
        with self._lock:
            if place in self._known and place.exists():
                self._known.move_to_end(place)
                return place
            other = self._under_way.get(place)
            if other is None:
                self._refuse(place)
                mine = self._under_way[place] = Future()
        if other is not None:
            error = other.exception(_LONGEST_S)
            if error is not None:
                raise OSError(getattr(error, "errno", None) or errno.EREMOTEIO, getattr(error, "strerror", "") or "")
            return place
        try:
            self._fetch(place)
        except OSError as error:
            self._failed(place, error)
            mine.set_exception(error)
            raise
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            _fetched.labels("fetched").inc()
            mine.set_result(None)
        finally:
            with self._lock:
                del self._under_way[place]
        return place

    def reached(self) -> None:
        """The bucket can be reached: nobody is turned away any more."""
        with self._lock:
            self.problem, self._away_until = "", 0.0
            self._refused.clear()

    def clear(self) -> None:
        """Takes everything out."""
        with self._lock:
            self._make_room(self._limit + 1)

    def drop(self, place: Path) -> None:
        """Takes a file out."""
        with self._lock:
            self._known.pop(place, None)
            place.unlink(missing_ok=True)

    def _refuse(self, place: Path) -> None:
        """Raises what was found a moment ago, instead of asking again. Under the lock."""
        now = time.monotonic()
        if now < self._away_until:
            raise OSError(errno.EREMOTEIO, self.problem)
        until, error = self._refused.get(place, (0.0, None))
        if error is not None and now < until:
            raise OSError(error.errno, error.strerror)

    def _failed(self, place: Path, error: OSError) -> None:
        _fetched.labels("failed").inc()
        log.error("segment cannot be fetched", camera=place.parent.name, segment=place.name, reason=error.strerror)
        until = time.monotonic() + _AWAY_S
        with self._lock:
            self._refused[place] = until, error
            while len(self._refused) > _MAX_REFUSED:
                self._refused.popitem(last=False)
            if error.errno == errno.EREMOTEIO:
                self.problem, self._away_until = error.strerror or str(error), until

    def _fetch(self, place: Path) -> None:
        until = time.monotonic() + _LONGEST_S
        if not self._slots.acquire(timeout=_LONGEST_S / 2):
            raise OSError(errno.EREMOTEIO, f"{self._bucket.url}: too many segments are fetched at once")
        try:
            self._download(place, until)
        finally:
            self._slots.release()

    def _download(self, place: Path, until: float) -> None:
        stub = Stub.read(place)
        with self._lock:
            self._make_room(stub.size if stub is not None else 0)
        self._spare_disk(stub.size if stub is not None else 0)
        partial = place.with_name(place.name + PART)
        place.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        try:
            with partial.open("wb") as file:
                for chunk in self._bucket.get(f"{place.parent.name}/{place.name}"):
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                    if time.monotonic() > until:
                        raise OSError(errno.EREMOTEIO, f"{self._bucket.url}: is too slow")
                file.flush()
                os.fsync(file.fileno())
            if stub is not None and (size, digest.digest()) != (stub.size, stub.digest):
                raise OSError(errno.EIO, f"{self._bucket.url}: has not what was moved there")
            with self._lock:
                partial.replace(place)
                self._known[place] = size
                self._make_room(0)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise

    def _spare_disk(self, size: int) -> None:
        free = free_bytes(self.folder)
        if free is None or free - size >= self._min_free:
            return
        with self._lock:
            self._make_room(self._limit)
        free = free_bytes(self.folder)
        if free is not None and free - size < self._min_free:
            raise OSError(errno.ENOSPC, "lies in a bucket, and there is no space to fetch it")

    def _make_room(self, size: int) -> None:
        """Removes the longest unused until so much more fits; the newest stays. Under the lock.

        Who reads in a removed file reads on.
        """
        total = sum(self._known.values())
        while self._known and total + size > self._limit and (size or len(self._known) > 1):
            place, freed = self._known.popitem(last=False)
            with contextlib.suppress(OSError):
                place.unlink()
            total -= freed
