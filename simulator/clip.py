"""A clip: one loop of coded pictures, ready to be sent again and again.

What belongs here: the value and its file form in the cache. What does not: where clips come from (`encode` makes them
of scenes, `files` of video files) and how they are sent (`camera`).
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.jpeg import ORDINARY, JpegForm

CLOCK_HZ = 90_000
PARTIAL_PREFIX = ".clip-"
"""Names of clips that are being written begin so."""
_MAGIC = b"TFCLIP2\n"


@dataclass(frozen=True, slots=True)
class ClipUnit:
    """One access unit, in decode order. Times are 90 kHz ticks from the start of the loop."""

    nals: tuple[bytes, ...]
    """NAL units without start codes and without the stamp; of MJPEG the scan alone."""
    due_ticks: int
    """When it is sent."""
    pts_ticks: int
    """When its picture is to be shown; becomes its RTP timestamp."""
    frame: int
    """The counter its picture shows: its position in presentation order."""
    joins: bool
    """Whether a new connection may begin here: an IDR picture with parameter sets; with MJPEG any."""
    silent: bool = False
    """Whether the camera is scripted to send nothing at this moment."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One loop."""

    name: str
    width: int
    height: int
    fps: float
    duration_ticks: int
    units: tuple[ClipUnit, ...]
    codec: str = "h264"
    """h264, h265 or mjpeg."""
    parameter_sets: tuple[bytes, ...] = ()
    """(VPS,) SPS and PPS; none of MJPEG."""
    form: JpegForm = ORDINARY
    """How MJPEG is coded."""
    truth: dict[str, Any] = field(default_factory=dict)
    """Ground truth of this loop: incidents, regions, where the counter stands. Empty for files."""


def save(clip: Clip, path: Path) -> None:
    """Writes the clip so that a reader sees all of it or nothing. Raises OSError."""
    head = {
        "name": clip.name,
        "width": clip.width,
        "height": clip.height,
        "fps": clip.fps,
        "duration_ticks": clip.duration_ticks,
        "codec": clip.codec,
        "sets": [nal.hex() for nal in clip.parameter_sets],
        "form": [clip.form.q, clip.form.type, clip.form.restart],
        "truth": clip.truth,
        "units": [
            [u.due_ticks, u.pts_ticks, u.frame, int(u.joins), int(u.silent), [len(nal) for nal in u.nals]]
            for u in clip.units
        ],
    }
    text = json.dumps(head).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL_PREFIX)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + len(text).to_bytes(8, "big") + text)
            file.writelines(nal for unit in clip.units for nal in unit.nals)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def load(path: Path) -> Clip:
    """Reads a clip back. Raises FileNotFoundError, or ValueError when the file is not a whole clip."""
    data = path.read_bytes()
    try:
        if data[:8] != _MAGIC:
            raise ValueError("wrong first bytes")
        at = 16 + int.from_bytes(data[8:16], "big")
        head = json.loads(data[16:at])
        units = []
        for due, pts, frame, joins, silent, sizes in head["units"]:
            nals = []
            for size in sizes:
                nals.append(data[at : at + size])
                at += size
            units.append(ClipUnit(tuple(nals), due, pts, frame, bool(joins), bool(silent)))
        if at != len(data):
            raise ValueError("wrong length")
        return Clip(
            name=head["name"],
            width=head["width"],
            height=head["height"],
            fps=head["fps"],
            duration_ticks=head["duration_ticks"],
            units=tuple(units),
            codec=head["codec"],
            parameter_sets=tuple(bytes.fromhex(text) for text in head["sets"]),
            form=JpegForm(*head["form"]),
            truth=head["truth"],
        )
    except (KeyError, TypeError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{path} is not a whole clip: {error}") from error
