"""The second tier in an S3-compatible bucket: older segments go there, and come back when somebody reads them.

A move: digest, upload, proof by checksum or by reading back, stub synced; then a link into the cache replaces the file
in one rename. The link is the record, as with a folder (`tiers`). What a crash leaves is an object that nothing links
to, removed when the bucket is opened next. Indexes, catalogue and logs stay here: seeking and starting fetch nothing.

A bucket belongs to one media center: a mark in it says to which, for who finds objects there that he has not must not
take them for left over.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from pathlib import Path

from media_center.away import CACHE_NAME, SECOND_TIER_MARK, Stub, fetch_with, note_location, stub_path
from media_center.bucket import Bucket
from media_center.bucket_cache import BucketCache
from media_center.catalogue import parse_name
from media_center.removed import read_removed
from media_center.seal_files import read_seal
from media_center.tiers import clear_returning, put_link, returning
from mesh.errors import DataLoss, FailedPrecondition
from mesh.files import write_atomic
from mesh.ids import is_camera_id
from mesh.logs import get_logger

log = get_logger("media_center.bucket")


class BucketTier:
    """Moves segments and knows which were moved. Blocking: call it in a thread, one call at a time."""

    def __init__(self, root: Path, bucket: Bucket, cache_bytes: int, min_free_bytes: int = 0) -> None:
        self.root = root
        self.location = bucket.url
        self.moved: dict[str, frozenset[str]] = {}
        """By camera, the segments that lie here. Replaced, never changed: any thread may read it."""
        self.bytes = 0
        """Of footage here."""
        self.cache = BucketCache(root / CACHE_NAME, bucket, cache_bytes, min_free_bytes)
        self._bucket = bucket
        self._can_be_used = False

    @property
    def is_open(self) -> bool:
        """It can be used."""
        return self._can_be_used and not self.cache.problem

    @is_open.setter
    def is_open(self, can: bool) -> None:
        self._can_be_used = can

    def open_if_possible(self) -> None:
        """Looks at what is here; asks the bucket nothing, for recording waits."""
        try:
            self._look_here()
        except OSError as error:
            log.error("second tier cannot be used", folder=str(self.cache.folder), reason=error.strerror)

    def _look_here(self) -> None:
        self.cache.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        note_location(self.cache.folder, self.location)
        self.bytes = 0
        for folder in sorted(self.root.iterdir()):
            if folder.is_dir() and is_camera_id(folder.name):
                clear_returning(folder)
                links = [entry.name for entry in os.scandir(folder) if entry.is_symlink() and parse_name(entry.name)]
                self.moved[folder.name] = frozenset(links)
                for name in links:
                    stub = Stub.read(self._place(folder.name, name))
                    self.bytes += stub.size if stub is not None else 0
        self.cache.load()

    def serve(self) -> None:
        """From now on, whoever opens a segment that lies here gets it."""
        fetch_with(self.cache.folder, self.cache)

    def close(self) -> None:
        """Nothing is fetched any more."""
        fetch_with(self.cache.folder, None)

    def space(self) -> tuple[int, int] | None:
        """Bytes in all and free: a bucket has no bound that could be asked."""
        return None

    def make_room(self) -> None:
        """The first disk is short: what was fetched goes before footage does."""
        self.cache.clear()

    def open(self) -> None:
        """Looks at what is in the bucket and clears up what a crash left. Raises FailedPrecondition, OSError."""
        self._look_here()
        try:
            self._check_mark()
            there = dict(self._bucket.listed())
        except OSError as error:
            raise FailedPrecondition(
                "second tier", error.strerror or str(error), "See to the bucket, its credentials and the network."
            ) from None
        removed: dict[str, set[str]] = {}
        for key in there:
            camera, _, name = key.partition("/")
            if parse_name(name) is None or not is_camera_id(camera) or name in self.moved.get(camera, ()):
                continue
            if camera not in removed:
                removed[camera] = {
                    row.removal.segment for row in read_removed(self.root / camera) if row.removal is not None
                }
            if (self.root / camera / name).exists() or name in removed[camera]:
                log.info("object without use removed from the second tier", camera=camera, segment=name)
                self._bucket.delete(key)
                self._forget_here(camera, name)
            else:
                log.warning("segment found in the second tier alone: copy it into the footage folder to read it",
                            camera=camera, segment=name)  # fmt: skip
        wanted = (f"{camera}/{name}" for camera, names in self.moved.items() for name in names)
        lost = [key for key in wanted if key not in there]
        if lost:
            log.error("segments are gone from the second tier", segments=len(lost), first=min(lost))
        self.cache.reached()
        self._can_be_used = True

    def _check_mark(self) -> None:
        ours = self.cache.folder / "mark"
        try:
            there = b"".join(self._bucket.get(SECOND_TIER_MARK))
        except FileNotFoundError:
            there = b""
        here = ours.read_bytes() if ours.exists() else b""
        if there and there != here:
            raise FailedPrecondition(
                f"second tier {self.location}",
                "belongs to another media center",
                f"Name another prefix; or, to take over from one that is no more, copy {SECOND_TIER_MARK} to {ours}.",
            )
        if not there:
            mark = here or secrets.token_hex(16).encode()
            write_atomic(ours, mark)
            self._bucket.put_small(SECOND_TIER_MARK, mark)

    def move(self, camera: str, name: str) -> int:
        """Moves a closed segment here; returns its bytes. Raises OSError, DataLoss; then it is where it was."""
        source, place = self.root / camera / name, self._place(camera, name)
        seal = read_seal(source)
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            size = file.tell()
        try:
            self._bucket.put(f"{camera}/{name}", source, size, digest)
        except DataLoss:
            with contextlib.suppress(OSError):
                self._bucket.delete(f"{camera}/{name}")
            raise
        place.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        Stub(size, digest, seal.encode() if seal is not None else b"").write(place)
        put_link(source, Path("..") / CACHE_NAME / camera / name)
        self.moved[camera] = self.moved.get(camera, frozenset()) | {name}
        self.bytes += size
        return size

    def bring_back(self, camera: str, name: str) -> int:
        """Moves a segment back to the first tier; returns its bytes. Raises OSError; then it is where it was.

        A crash leaves an object that nothing links to, removed when the bucket is opened next.
        """
        stub = Stub.read(self._place(camera, name))
        digest, size = hashlib.sha256(), 0
        with returning(self.root / camera / name) as partial, partial.open("wb") as file:
            for chunk in self._bucket.get(f"{camera}/{name}"):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            file.flush()
            os.fsync(file.fileno())
            if stub is not None and (size, digest.digest()) != (stub.size, stub.digest):
                raise OSError(errno.EIO, f"{self.location}: has not what was moved there")
        self.moved[camera] = self.moved.get(camera, frozenset()) - {name}
        self.bytes -= size
        self._forget_here(camera, name)
        try:
            self._bucket.delete(f"{camera}/{name}")
        except OSError as error:
            log.error("object cannot be deleted", camera=camera, segment=name, reason=error.strerror)
            self._can_be_used = False  # `open` deletes it
        return size

    def forget(self, camera: str, names: dict[str, int]) -> None:
        """Segments were deleted: names and sizes of those that lay here or not. Objects go, too, now or later."""
        here = self.moved.get(camera, frozenset())
        self.moved[camera] = here - names.keys()
        for name in sorted(here & names.keys()):
            self.bytes -= names[name]
            self._forget_here(camera, name)
            if not self.is_open:
                continue  # `open` deletes what was removed
            try:
                self._bucket.delete(f"{camera}/{name}")
            except OSError as error:
                log.error("object cannot be deleted", camera=camera, segment=name, reason=error.strerror)
                self._can_be_used = False

    def _forget_here(self, camera: str, name: str) -> None:
        place = self._place(camera, name)
        self.cache.drop(place)
        stub_path(place).unlink(missing_ok=True)

    def _place(self, camera: str, name: str) -> Path:
        return self.cache.folder / camera / name
