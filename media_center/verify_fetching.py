"""Segments that lie in a bucket, fetched one after the other to be verified, beside any media center that runs.

What does not belong here: the cache of a media center (`bucket_cache`), which is left as it is; judging (`verify_*`).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from media_center.away import CACHE_NAME, Stub, fetch_with
from media_center.bucket import SCHEME, Bucket
from mesh.config import MediaCenterConfig
from mesh.errors import FailedPrecondition


class _Fetching:
    """Has the file of one segment at a time."""

    def __init__(self, bucket: Bucket, folder: Path) -> None:
        self._bucket = bucket
        self._folder = folder
        self._place = Path()

    def fetch(self, place: Path) -> Path:
        """The file of a place in the cache. Raises OSError."""
        file = self._folder / "segment"
        if place == self._place:
            return file
        self._place = Path()
        digest, size = hashlib.sha256(), 0
        with file.open("wb") as writer:
            for chunk in self._bucket.get(f"{place.parent.name}/{place.name}"):
                writer.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        stub = Stub.read(place)
        if stub is not None and (size, digest.digest()) != (stub.size, stub.digest):
            raise OSError(errno.EIO, f"{self._bucket.url}: has not what was moved there")
        self._place = place
        return file


@contextlib.contextmanager
def fetching(footage: Path, settings: MediaCenterConfig) -> Iterator[None]:
    """While it lasts, segments of a footage folder that lie in its bucket are fetched when they are opened.

    One thread may open them. Raises FailedPrecondition (no bucket, no library), NotFound, PermissionDenied.
    """
    if not settings.second_tier.startswith(SCHEME):
        raise FailedPrecondition(
            "media_center.second_tier", "names no bucket", "Name the instance that has one with --data."
        )
    bucket = Bucket(
        settings.second_tier, settings.s3_endpoint_url, settings.s3_region, settings.s3_credentials_file
    )  # fmt: skip
    cache = footage.resolve() / CACHE_NAME
    with tempfile.TemporaryDirectory(prefix="trueframe-verify-") as folder:
        fetch_with(cache, _Fetching(bucket, Path(folder)))
        try:
            yield
        finally:
            fetch_with(cache, None)
