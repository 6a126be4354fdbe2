"""Which files a range is exported to: one, or one for each codec where a camera's codec changed within it.

An MP4 track carries one codec as far as players are concerned; the server refuses a range over two. What belongs here:
dividing a range by what is recorded, and naming the files. Pure. What does not: asking and writing (`client`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mesh.ids import FrameId
from trueframe.v1 import footage_pb2, frames_pb2

Place = FrameId | int | None
"""A frame, UTC nanoseconds, or open."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a range, and the file or folder that it goes to."""

    start: Place
    end: Place
    path: Path


def codec_name(codec: int) -> str:
    """The name of a codec as files and messages have it: h264, h265, mjpeg."""
    known = codec in frames_pb2.Codec.values()
    return frames_pb2.Codec.Name(codec).removeprefix("CODEC_").lower() if known else f"codec{codec}"  # type: ignore[arg-type]


def export_parts(recordings: Iterable[footage_pb2.Recording], start: Place, end: Place, target: Path) -> list[Part]:
    """Divides a range of one camera by codec. `recordings` as the server lists them; at least one part is returned.

    In a folder each part gets the server's telling name; a file name is numbered and told the codec: clip-2-h265.mp4.
    """
    runs: list[tuple[int, FrameId, FrameId]] = []
    for recording in recordings:
        if not _is_within(recording, start, end):
            continue
        first, last = FrameId.from_proto(recording.first), FrameId.from_proto(recording.last)
        if runs and runs[-1][0] == recording.codec:
            runs[-1] = (runs[-1][0], runs[-1][1], last)
        else:
            runs.append((recording.codec, first, last))
    if len(runs) < 2:
        return [Part(start, end, target)]
    parts: list[Part] = []
    for number, (codec, first, last) in enumerate(runs, 1):
        path = target if target.is_dir() else target.with_stem(f"{target.stem}-{number}-{codec_name(codec)}")
        parts.append(Part(start if number == 1 else first, end if number == len(runs) else last, path))
    return parts


def _is_within(recording: footage_pb2.Recording, start: Place, end: Place) -> bool:
    if isinstance(start, FrameId):
        if FrameId.from_proto(recording.last) < start:
            return False
    elif start is not None and recording.last_ns < start:
        return False
    if isinstance(end, FrameId):
        return FrameId.from_proto(recording.first) <= end
    return end is None or recording.first_ns <= end
