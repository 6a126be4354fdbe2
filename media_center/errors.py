"""What can go wrong with footage. Statuses come from the parents' rows in `mesh.errors`.

TrueframeError
├── NotFound
│   ├── NeverRecorded          nothing was ever recorded of the camera
│   ├── NotRecorded            the camera is known, the frame or range is not
│   └── NothingThere           fewer frames lie before or behind a frame than were to be stepped over
├── FailedPrecondition
│   ├── NotDecodable           no join point before the frame is recorded
│   └── CodecChanges           a range over two codecs, of which a file carries one
├── DataLoss
│   └── FootageDamaged         the bytes on disk fail their digest
└── ResourceExhausted
    ├── DiskFull               too little space to begin recording
    └── ExportTooLong
"""

from __future__ import annotations

from pathlib import Path

from mesh.errors import DataLoss, FailedPrecondition, NotFound, ResourceExhausted
from mesh.ids import FrameId
from mesh.logs import get_logger, rate_limited

log = get_logger("media_center")


class NeverRecorded(NotFound):
    """Nothing was ever recorded of a camera."""

    def __init__(self, thing: str, reason: str = "was never recorded here", remedy: str = "") -> None:
        super().__init__(thing, reason, remedy or "`trueframe cameras list` shows the cameras.")

    @classmethod
    def of(cls, camera: str) -> NeverRecorded:
        """For a camera."""
        return cls(f"camera {camera!r}")


class NotRecorded(NotFound):
    """A frame or range of which there is no footage."""

    @classmethod
    def frame(cls, frame: FrameId) -> NotRecorded:
        """For a frame."""
        return cls(f"frame {frame}", "is not recorded", f"`trueframe coverage {frame.camera}` tells what is.")

    @classmethod
    def range(cls, camera: str) -> NotRecorded:
        """For a range without a frame."""
        remedy = f"`trueframe coverage {camera}` tells what is recorded."
        return cls(f"footage of {camera!r}", "has no frame in the range", remedy)


class NothingThere(NotFound):
    """Fewer frames lie before or behind a frame than were to be stepped over."""

    @classmethod
    def behind(cls, frame: FrameId, frames: int) -> NothingThere:
        """For steps forward; so many frames there are."""
        return cls(f"frame {frame}", f"is followed by {frames} recorded frames", "Take fewer steps.")

    @classmethod
    def before(cls, frame: FrameId, frames: int) -> NothingThere:
        """For steps back; so many frames there are."""
        return cls(f"frame {frame}", f"has {frames} recorded frames before it", "Take fewer steps.")


class NotDecodable(FailedPrecondition):
    """A frame that cannot be decoded from what is recorded."""

    @classmethod
    def frame(cls, frame: FrameId) -> NotDecodable:
        """For a frame."""
        return cls(
            f"frame {frame}",
            "cannot be decoded: the frames from the join point before it on are not all recorded",
            "Ask for a later frame.",
        )


class CodecChanges(FailedPrecondition):
    """A range in which the camera's codec changes: no player shows one file of both."""

    @classmethod
    def between(cls, last: FrameId, first: FrameId, codecs: str) -> CodecChanges:
        """For the frames right before and behind the first change; `codecs` as "h264 to h265"."""
        return cls(
            f"footage of {last.camera!r}",
            f"changes from {codecs} at {first}, and an MP4 file carries one codec",
            f"Export up to {last} and from {first}; `trueframe export` writes a file of each.",
        )


class FootageDamaged(DataLoss):
    """Recorded bytes that fail their digest."""

    @classmethod
    def frame(cls, frame: FrameId) -> FootageDamaged:
        """For a frame."""
        return cls(f"frame {frame}", "is damaged on disk: its bytes fail their digest", "Restore the segment.")


class DiskFull(ResourceExhausted):
    """Too little space to begin recording."""

    @classmethod
    def at_start(cls, folder: Path, free: int, needed: int) -> DiskFull:
        """For a footage folder."""
        return cls(
            f"footage folder {folder}",
            f"has {_mebibytes(free)} MiB free and must keep {_mebibytes(needed)} MiB",
            "Free some space, or set media_center.footage_dir or media_center.min_free_bytes.",
        )

    @classmethod
    def for_import(cls, name: str, free: int, needed: int) -> DiskFull:
        """For a file that is to be imported."""
        return cls(
            f"file {name!r}",
            f"does not fit: the footage disk has {_mebibytes(free)} MiB free and needs {_mebibytes(needed)} MiB",
            "Free some space, or import it in parts.",
        )

    @classmethod
    def for_bringing_back(cls, camera: str, free: int, needed: int) -> DiskFull:
        """For footage that is to come back from the second tier."""
        has = f": the first disk has {_mebibytes(free)} MiB free and needs {_mebibytes(needed)} MiB" if needed else ""
        return cls(f"footage of {camera!r}", f"does not fit{has}", "Free some space, or bring back a shorter range.")


class ExportTooLong(ResourceExhausted):
    """A range with more frames than one export takes."""

    @classmethod
    def frames(cls, frames: int, limit: int) -> ExportTooLong:
        """For a range."""
        return cls("export", f"has {frames} frames and at most {limit} are possible", "Export it in parts.")


def unreadable(camera: str, segment: str) -> None:
    """Logs, seldom, that a segment the catalogue knows cannot be read; the stream tells it as gaps."""
    if rate_limited(f"unreadable {camera}", 10):
        log.error("segment cannot be read", camera=camera, segment=segment)


def _mebibytes(size: int) -> int:
    return size >> 20
