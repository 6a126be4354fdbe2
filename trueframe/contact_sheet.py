"""A contact sheet: recorded stills of a stretch of footage on one picture, each with its time, its frame and its boxes.

What should not be in this module: options and files (`commands.contact`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, PngImagePlugin

from mesh.errors import NotFound
from mesh.ids import FrameId
from trueframe.drawing import BACKGROUND, draw_boxes, fitting, font, with_strip
from trueframe.frame_boxes import boxes_in
from trueframe.times import show_time

if TYPE_CHECKING:
    from trueframe.client import Client
    from trueframe.v1.events_pb2 import Event

_MARGIN = 10
_TITLE = 22


@dataclass(frozen=True, slots=True)
class Still:
    """A recorded frame that is on the sheet."""

    id: FrameId
    received_ns: int
    inexact: bool
    boxes: int
    is_peak: bool


@dataclass(frozen=True, slots=True)
class ContactSheet:
    """A PNG and what it shows."""

    png: bytes
    stills: list[Still]
    problem: str
    """Why it may show less than there is; empty if it does not."""


def contact_sheet(
    tf: Client, camera: str, from_ns: int, to_ns: int, *, event: Event | None = None, stills: int = 12,
    width: int = 480, columns: int = 4, progress: Callable[[int, int, str], None] | None = None,
) -> ContactSheet:  # fmt: skip
    """Stills evenly over a stretch of footage, in time; the peak of an `event` is among them, exactly.

    `width`: of a still, in pixels. Raises NotFound (nothing recorded there) and the errors of the services.
    """
    wanted = _frames(tf, camera, from_ns, to_ns, event, stills)
    peak = FrameId.from_proto(event.peak) if event is not None and event.HasField("peak") else None
    boxes, problem = boxes_in(tf, camera, from_ns, to_ns, [event] if event is not None else [])
    pictures: list[Image.Image] = []
    shown: list[Still] = []
    for number, frame in enumerate(wanted):
        if progress is not None:
            progress(number, len(wanted), str(frame))
        taken = tf.footage.snapshot(frame, width)
        still = Still(frame, taken.frame.received_ns, taken.inexact, len(boxes.get(frame, ())), frame == peak)
        with Image.open(io.BytesIO(taken.png)) as png:
            picture = png.convert("RGB")
        draw_boxes(picture, boxes.get(frame, ()))
        marks = ("peak",) * still.is_peak + ("not exact",) * still.inexact
        pictures.append(with_strip(picture, [show_time(still.received_ns), str(frame)], ", ".join(marks)))
        shown.append(still)
    title = f"{camera}   {show_time(from_ns)} to {show_time(to_ns)}   {len(shown)} of the recorded frames, scaled"
    return ContactSheet(_laid_out(pictures, [title, *_about(event)], shown, columns), shown, problem)


def _frames(tf: Client, camera: str, from_ns: int, to_ns: int, event: Event | None, stills: int) -> list[FrameId]:
    """Frames at even distances, each once, in recorded order."""
    found: set[FrameId] = set()
    if event is not None and event.HasField("peak"):
        found.add(FrameId.from_proto(event.peak))
    step = (to_ns - from_ns) / max(stills - 1, 1)
    for number in range(stills):
        row = tf.footage.locate(camera, round(from_ns + number * step))
        if from_ns <= row.received_ns <= to_ns:
            found.add(FrameId.from_proto(row.id))
    if not found:
        raise NotFound(
            f"footage of {camera!r}",
            "has no frame in the range",
            f"`trueframe coverage {camera}` tells what is recorded.",
        )
    return sorted(found)


def _about(event: Event | None) -> list[str]:
    if event is None:
        return []
    score = f", score {event.score:.2f}" if event.score else ""
    return [f"{event.id}   {event.detector}{score}   {event.summary}"]


def _laid_out(pictures: Sequence[Image.Image], titles: Sequence[str], shown: Sequence[Still], columns: int) -> bytes:
    columns = min(columns, len(pictures))
    cell = max(one.width for one in pictures), max(one.height for one in pictures)
    rows = -(-len(pictures) // columns)
    head = _MARGIN + _TITLE * len(titles)
    size = (columns * (cell[0] + _MARGIN) + _MARGIN, head + rows * (cell[1] + _MARGIN) + _MARGIN)
    sheet = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    letters = font(_TITLE - 7)
    for number, title in enumerate(titles):
        text = fitting(title, letters, size[0] - 2 * _MARGIN)
        pen.text((_MARGIN, _MARGIN + number * _TITLE - 4), text, font=letters, fill=(230, 230, 230))
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        place = _MARGIN + column * (cell[0] + _MARGIN), head + _MARGIN + row * (cell[1] + _MARGIN)
        sheet.paste(picture, place)
    about = PngImagePlugin.PngInfo()
    about.add_text("Title", titles[0])
    about.add_text("Comment", "Scaled and drawn on: for orientation. The recorded frames are those named in Frames.")
    about.add_text("Frames", json.dumps([str(still.id) for still in shown]))
    out = io.BytesIO()
    sheet.save(out, "PNG", pnginfo=about)
    return out.getvalue()
