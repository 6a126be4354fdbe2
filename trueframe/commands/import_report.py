"""The report of an imported file: what happened when, in the viewer's zone, and a still of each moment with its box.

What belongs here: the folder with report.txt, report.json and stills. What does not: importing and inspecting.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from trueframe.times import SECOND_NS, show_duration, show_time

if TYPE_CHECKING:
    from aggregate.client import Area
    from detector_pool.client import Inspected, Moment
    from media_center.client import ImportedFile, SyncFootageClient

_BOX_COLOUR = (255, 60, 0)


@dataclass(frozen=True, slots=True)
class Subject:
    """The file, as footage."""

    file: Path
    imported: ImportedFile
    first_ns: int
    last_ns: int
    import_s: float

    @classmethod
    def of(cls, footage: SyncFootageClient, file: Path, imported: ImportedFile, import_s: float) -> Subject:
        """With the times of its first and last frame. `import_s`: seconds that the import took."""
        first, last = (footage.step(frame, 0).frame.received_ns for frame in (imported.first, imported.last))
        return cls(file, imported, first, last, import_s)

    @property
    def length_s(self) -> float:
        """From the first to the last frame."""
        return (self.last_ns - self.first_ns) / SECOND_NS

    def sentence(self) -> str:
        """What was imported, on a line."""
        return (
            f"{self.file.name}: {self.imported.frames} frames of {self.imported.first.camera}, "
            f"{show_time(self.first_ns)} to {show_time(self.last_ns)}, "
            f"imported in {show_duration(self.import_s)}{_speed(self.length_s, self.import_s)}"
        )

    def record(self) -> dict[str, object]:
        """The same as a JSON object."""
        return {
            "kind": "import",
            "file": str(self.file),
            "camera": self.imported.first.camera,
            "first": str(self.imported.first),
            "last": str(self.imported.last),
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "from": show_time(self.first_ns),
            "to": show_time(self.last_ns),
            "frames": self.imported.frames,
            "seconds": round(self.import_s, 3),
            "notes": list(self.imported.notes),
        }

    def inspection_sentence(self, detectors: Sequence[str], inspected: Inspected) -> str:
        """What the inspection was, on a line."""
        found = f"{len(inspected.moments)} {'moment' if len(inspected.moments) == 1 else 'moments'}"
        unseen = self.imported.frames - inspected.pictures
        gaps = f", {unseen} frames gave no picture" if unseen else ""
        inexact = f", {inspected.inexact} damaged or behind damage" if inspected.inexact else ""
        learning = "".join(
            f", {count} of them taken by {name} to learn what is normal"
            for name, count in inspected.learning.items()
            if count
        )
        failed = f", {inspected.failed} times a detector failed" if inspected.failed else ""
        return (
            f"{found} found by {' and '.join(detectors)} in {inspected.pictures} pictures"
            f"{learning}{gaps}{inexact}{failed}; inspected in {show_duration(inspected.seconds)}"
            f"{_speed(self.length_s, inspected.seconds)}"
        )

    def inspection_record(self, detectors: Sequence[str], inspected: Inspected) -> dict[str, object]:
        """The same for JSON."""
        return {
            "detectors": list(detectors),
            "moments": len(inspected.moments),
            "pictures": inspected.pictures,
            "frames_without_picture": self.imported.frames - inspected.pictures,
            "learning": inspected.learning,
            "inexact": inspected.inexact,
            "detector_failures": inspected.failed,
            "seconds": round(inspected.seconds, 3),
            "times_real_time": round(self.length_s / inspected.seconds, 1) if inspected.seconds else None,
        }


@dataclass(frozen=True, slots=True)
class Still:
    """A moment and the file of its picture."""

    number: int
    moment: Moment
    into_s: float
    file: str
    """Name in the report's folder; empty if there is no such picture."""

    def sentence(self) -> str:
        """On a line."""
        anomaly = self.moment.anomaly
        length_s = (anomaly.last_ns - anomaly.started_ns) / SECOND_NS
        still = f", {self.file}" if self.file else ", no picture of it"
        return (
            f"{self.number}. {show_time(anomaly.started_ns)} (at {_offset(self.into_s)}), {show_duration(length_s)}: "
            f"{self.moment.detector} {anomaly.score:.2f}, highest at {show_time(anomaly.peak_ns, date=False)} "
            f"in frame {anomaly.peak}{still}"
        )

    def record(self) -> dict[str, object]:
        """For JSON."""
        anomaly = self.moment.anomaly
        return {
            "number": self.number,
            "detector": self.moment.detector,
            "score": round(anomaly.score, 4),
            "started_ns": anomaly.started_ns,
            "ended_ns": anomaly.last_ns,
            "peak_ns": anomaly.peak_ns,
            "started": show_time(anomaly.started_ns),
            "ended": show_time(anomaly.last_ns),
            "seconds_into_file": round(self.into_s, 3),
            "first": str(anomaly.first),
            "peak": str(anomaly.peak),
            "last": str(anomaly.last),
            "boxes": [
                {"x": box.x, "y": box.y, "width": box.width, "height": box.height, "label": box.label}
                for box in anomaly.boxes
            ],
            "still": self.file,
        }


def write_report(
    folder: Path, footage: SyncFootageClient, subject: Subject, detectors: Sequence[str], inspected: Inspected
) -> list[Still]:
    """Writes stills, then the report; returns what it tells. Raises OSError."""
    from mesh.errors import TrueframeError

    folder.mkdir(exist_ok=True)
    stills = []
    for number, moment in enumerate(inspected.moments, 1):
        anomaly = moment.anomaly
        clock = show_time(anomaly.peak_ns, date=False)[:12].replace(":", ".")
        name = f"{number:03d}-{moment.detector.partition('@')[0]}-{clock}.png"
        try:
            png = with_boxes(footage.snapshot(anomaly.peak).png, anomaly.boxes)
            (folder / name).write_bytes(png)
        except TrueframeError:  # its frame is damaged: the moment stands without a picture
            name = ""
        into_s = (anomaly.started_ns - subject.first_ns) / SECOND_NS
        stills.append(Still(number, moment, into_s, name))
    lines = [
        subject.sentence(),
        *(f"note: {note}" for note in subject.imported.notes),
        subject.inspection_sentence(detectors, inspected),
        "",
        *(still.sentence() for still in stills),
    ]
    (folder / "report.txt").write_text("\n".join(lines).rstrip() + "\n")
    record = {
        "import": subject.record(),
        "inspection": subject.inspection_record(detectors, inspected),
        "moments": [still.record() for still in stills],
    }
    (folder / "report.json").write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n")
    return stills


def with_boxes(png: bytes, boxes: Sequence[Area]) -> bytes:
    """The picture with a frame around each box. `boxes`: in fractions of the picture."""
    import av
    import numpy as np

    with av.open(io.BytesIO(png), "r") as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    height, width = picture.shape[:2]
    line = max(2, width // 320)
    colour = np.array(_BOX_COLOUR, np.uint8)
    for box in boxes:
        left, right = (min(max(round(x * width), 0), width) for x in (box.x, box.x + box.width))
        top, bottom = (min(max(round(y * height), 0), height) for y in (box.y, box.y + box.height))
        picture[top : top + line, left:right] = colour
        picture[max(bottom - line, 0) : bottom, left:right] = colour
        picture[top:bottom, left : left + line] = colour
        picture[top:bottom, max(right - line, 0) : right] = colour
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height = width, height
    encoder.pix_fmt = "rgb24"
    encoder.time_base = Fraction(1, 1)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def _speed(length_s: float, took_s: float) -> str:
    return f", {length_s / took_s:.0f} times real time" if took_s > 0 and length_s > took_s else ""


def _offset(seconds: float) -> str:
    """How far into the file: "0:00:05.1"."""
    tenths = round(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"
