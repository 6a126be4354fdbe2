"""Segments whose files are not here: they lie in a bucket, and come into a local cache when somebody opens them.

    media/<camera>/<segment>.mp4          a symbolic link to ../.s3/<camera>/<segment>.mp4
    media/.s3/<camera>/<segment>.mp4      the file, if it was fetched; may go at any time
    media/.s3/<camera>/<segment>.stub     what is asked of a segment without its payloads: size, digest, seal

What belongs here: opening a segment wherever it lies, and the stub. What does not: fetching (`bucket_cache`), moving
(`bucket_tier`). A process that fetches nothing, like `trueframe verify`, is told where the segment is.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from mesh.files import write_atomic

CACHE_NAME = ".s3"
SECOND_TIER_MARK = ".trueframe-second-tier"
"""In a second tier's folder or bucket. A folder without it is where its disk is not mounted."""
_LOCATION = "location"
_TRIES = 3


class Fetcher(Protocol):
    """Brings segments into the cache."""

    def fetch(self, place: Path) -> Path:
        """Where the file of a place in the cache is now, fetched if it had to be. Raises OSError."""
        ...


_fetchers: dict[Path, Fetcher] = {}


def fetch_with(cache: Path, fetcher: Fetcher | None) -> None:
    """Who fetches into a cache folder from now on; None for nobody. Thread-safe."""
    if fetcher is None:
        _fetchers.pop(cache, None)
    else:
        _fetchers[cache] = fetcher


def place_of(segment: Path) -> Path | None:
    """Where the cache has, or would have, the file of a segment; None if the segment lies in no bucket."""
    try:
        target = segment.readlink()
    except OSError:
        return None
    if target.parts[-3:-2] != (CACHE_NAME,):
        return None
    return segment.parent.parent / CACHE_NAME / segment.parent.name / segment.name


def open_segment(segment: Path) -> int:
    """Opens the file of a segment to read it, fetching it first where it has to be. Returns the descriptor.

    Raises OSError: EREMOTEIO if it lies in a bucket that cannot be reached.
    """
    for _ in range(_TRIES):
        place = place_of(segment)
        if place is None:
            return os.open(segment, os.O_RDONLY | os.O_CLOEXEC)
        fetcher = _fetchers.get(place.parent.parent)
        try:
            file = fetcher.fetch(place) if fetcher is not None else place
            return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # it went for another one just now, or was brought back
            if fetcher is None and place_of(segment) is not None:
                break
        except OSError:
            if place_of(segment) is not None:
                raise
    raise OSError(errno.EREMOTEIO, "lies in a bucket, and is not fetched from there", str(segment))


def elsewhere(segment: Path, error: OSError) -> str:
    """Where the file of a segment lies, for a human, if it was moved to a place that cannot be reached from here now.

    `error`: what opening it raised. Empty for one that is here, and for one that its place should have and does not.
    """
    place = place_of(segment)
    if place is not None:
        return told_location(place.parent.parent) if error.errno == errno.EREMOTEIO else ""
    try:
        tier = (segment.parent / segment.readlink()).parent.parent
    except OSError:
        return ""
    try:
        return "" if (tier / SECOND_TIER_MARK).exists() else str(tier)
    except OSError:
        return str(tier)


def note_location(cache: Path, location: str) -> None:
    """Keeps in a cache what bucket it is of, for who reads the folder without the configuration. Raises OSError."""
    write_atomic(cache / _LOCATION, location.encode(), mode=0o640)


def told_location(cache: Path) -> str:
    """What bucket a cache is of."""
    try:
        return (cache / _LOCATION).read_text()[:2048] or "a bucket"
    except (OSError, UnicodeDecodeError):
        return "a bucket"


def segment_size(segment: Path) -> int:
    """Bytes of the file of a segment, wherever it lies; fetches nothing. Raises OSError."""
    stub = stub_of(segment)
    return segment.stat().st_size if stub is None else stub.size


@dataclass(frozen=True, slots=True)
class Stub:
    """What is known here of a file in a bucket."""

    size: int
    digest: bytes
    """SHA-256 of the file."""
    seal: bytes
    """As it stands at the end of the file; empty if there is none."""

    @classmethod
    def read(cls, place: Path) -> Self | None:
        """Of a place in the cache; None if there is none."""
        try:
            body = json.loads(stub_path(place).read_bytes())
            return cls(int(body["size"]), bytes.fromhex(body["sha256"]), bytes.fromhex(body["seal"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, place: Path) -> None:
        """Writes it durably. Raises OSError."""
        body = {"size": self.size, "sha256": self.digest.hex(), "seal": self.seal.hex()}
        write_atomic(stub_path(place), json.dumps(body).encode(), mode=0o640)


def stub_path(place: Path) -> Path:
    """Where the stub of a place in the cache stands."""
    return place.with_suffix(".stub")


def stub_of(segment: Path) -> Stub | None:
    """The stub of a segment; None if it does not lie in a bucket."""
    place = place_of(segment)
    return None if place is None else Stub.read(place)
