"""A viewing copy: footage decoded, drawn on and encoded again, for people who have no use for the exact file.

Beneath each picture stand the time at which its frame was received, its id, and that this is no evidence; on it, the
boxes that detectors gave for exactly this frame. Where footage is missing, a dark picture says so.

What should not be in this module: exact exports (`media_center.export`), options (`commands.viewing`).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np
from PIL import Image

from broker.client import WireFrame
from broker.pixel.client import packet_of
from mesh.errors import FailedPrecondition, NotFound
from mesh.ids import FrameId
from trueframe.drawing import draw_boxes, grey, with_strip
from trueframe.frame_boxes import Boxes
from trueframe.times import show_time
from trueframe.v1 import frames_pb2

if TYPE_CHECKING:
    from media_center.client import FootageItem

MARK = "VIEWING COPY, not evidence"
_TICKS = 90_000
_DECODERS = {frames_pb2.CODEC_H264: "h264", frames_pb2.CODEC_H265: "hevc", frames_pb2.CODEC_MJPEG: "mjpeg"}
_USUAL_STEP_NS = 40_000_000
_MAX_PENDING = 64
Progress = Callable[[int], None]
"""Called with the UTC nanoseconds of the frame that was drawn."""


@dataclass(frozen=True, slots=True)
class ViewingCopy:
    """What was written."""

    path: Path
    frames: int
    gaps: int
    boxes: int
    first: FrameId
    last: FrameId


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """What is told of a frame beneath its picture."""

    id: FrameId
    received_ns: int
    damaged: bool
    follows_damage: bool


@dataclass(slots=True)
class Shown:
    """A decoded picture with its frame, or what is missing in its place."""

    picture: Image.Image | None
    frame: ShownFrame | None
    gap: frames_pb2.Gap | None = None
    order_ns: int = 0
    """When the picture is due: the frame's time, in order of presentation."""
    is_behind_gap: bool = False
    """Frames that it may refer to are missing."""


def write_viewing_copy(
    items: Iterable[FootageItem], path: Path, boxes: Boxes, is_asked: Callable[[FrameId, int], bool],
    progress: Progress | None = None,
) -> ViewingCopy:  # fmt: skip
    """Draws and encodes a stream of one camera that begins at a join point; the file is whole or absent.

    `is_asked(id, received_ns)`: whether a frame is in the range, rather than decoded for those behind it alone. Raises
    NotFound (no frame), FailedPrecondition (no picture can be decoded), OSError.
    """
    return write_pictures(_pictures(items, is_asked), path, boxes, progress)


def write_pictures(
    pictures: Iterable[Shown], path: Path, boxes: Boxes, progress: Progress | None = None
) -> ViewingCopy:
    """As `write_viewing_copy`, of pictures in order of presentation."""
    partial = path.with_name(path.name + ".part")
    try:
        with _Film(partial) as film:
            for shown in pictures:
                film.take(shown, boxes)
                if progress is not None and shown.frame is not None:
                    progress(shown.frame.received_ns)
            if film.first is None or film.last is None:
                raise NotFound("footage", "gives no picture in the range", "Ask for another range.")
            done = ViewingCopy(path, film.frames, film.gaps, film.boxes, film.first, film.last)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return done


def _pictures(items: Iterable[FootageItem], is_asked: Callable[[FrameId, int], bool]) -> Iterator[Shown]:
    """Pictures of the asked frames in order of presentation, and gaps between them."""
    decoder = _Decoder()
    for item in items:
        if isinstance(item, frames_pb2.EpochStarted):
            yield from decoder.begin(item, is_asked)
        elif isinstance(item, WireFrame):
            yield from decoder.decode(item, is_asked)
        elif isinstance(item, frames_pb2.Gap):
            decoder.is_broken = True
            yield Shown(None, None, item)
    yield from decoder.drain(is_asked)


@dataclass(slots=True)
class _Decoder:
    """One epoch after the other, decoded as snapshots are: in one thread, pts being the seq."""

    context: Any = None
    codec: str = ""
    waiting: dict[int, WireFrame] = field(default_factory=dict)
    due: list[int] = field(default_factory=list)
    is_broken: bool = False
    """A gap stood before, and no join point since."""
    behind_gap: set[int] = field(default_factory=set)

    def begin(self, started: frames_pb2.EpochStarted, is_asked: Callable[[FrameId, int], bool]) -> Iterator[Shown]:
        yield from self.drain(is_asked)
        self.codec = _DECODERS.get(started.codec, "")
        if not self.codec:
            raise FailedPrecondition(f"codec {started.codec}", "cannot be decoded here", "Export the exact file.")
        self.is_broken = False
        self._open()

    def _open(self) -> None:
        self.context = av.CodecContext.create(self.codec, "r")
        self.context.thread_type = "NONE"
        self.context.thread_count = 1

    def decode(self, frame: WireFrame, is_asked: Callable[[FrameId, int], bool]) -> Iterator[Shown]:
        if self.context is None:
            raise FailedPrecondition("footage", "does not begin with its epoch", "Ask for another range.")
        packet = packet_of(frame.payload, frame.seq)
        self.is_broken = self.is_broken and frame.join_point != frames_pb2.JOIN_POINT_EXACT
        if self.is_broken:
            self.behind_gap.add(frame.seq)
        self.waiting[frame.seq] = frame
        heapq.heappush(self.due, frame.received_ns)
        if len(self.waiting) > _MAX_PENDING:  # frames that gave no picture
            lost = next(iter(self.waiting))
            del self.waiting[lost]
            self.behind_gap.discard(lost)
            heapq.heappop(self.due)
        yield from self._given(packet, is_asked)

    def drain(self, is_asked: Callable[[FrameId, int], bool]) -> Iterator[Shown]:
        """What is left in the decoder. It goes on behind a join point."""
        if self.context is not None:
            yield from self._given(None, is_asked)
            self._open()
        self.waiting.clear()
        self.due.clear()
        self.behind_gap.clear()

    def _given(self, packet: Any, is_asked: Callable[[FrameId, int], bool]) -> Iterator[Shown]:
        try:
            pictures = self.context.decode(packet)
        except av.error.FFmpegError:
            return  # the picture is missing; its frame stays without one
        for picture in pictures:
            frame = self.waiting.pop(int(picture.pts), None)
            if frame is None:
                continue
            due_ns = heapq.heappop(self.due)
            is_behind_gap = frame.seq in self.behind_gap
            self.behind_gap.discard(frame.seq)
            if is_asked(frame.id, frame.received_ns):
                image = Image.fromarray(picture.to_ndarray(format="rgb24"))
                told = ShownFrame(frame.id, frame.received_ns, frame.damaged, frame.follows_damage)
                yield Shown(image, told, None, due_ns, is_behind_gap)


class _Film:
    """An H.264 file that grows picture by picture, at the pace at which frames were received."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container: Any = None
        self._stream: Any = None
        self._size = (0, 0)
        self._begun_ns = 0
        self._last_ns = 0
        self._last_pts = -1
        self._last_picture: Image.Image | None = None
        self.frames = self.gaps = self.boxes = 0
        self.first: FrameId | None = None
        self.last: FrameId | None = None

    def __enter__(self) -> _Film:
        self._container = av.open(str(self._path), "w", format="mp4", options={"movflags": "+faststart"})
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._stream is not None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()

    def take(self, shown: Shown, boxes: Boxes) -> None:
        """The next picture, or what is missing."""
        if shown.picture is None or shown.frame is None:
            self._tell_gap(shown.gap)
            return
        frame = shown.frame
        pointed = boxes.get(frame.id, ())
        draw_boxes(shown.picture, pointed)
        drawn = with_strip(shown.picture, [show_time(frame.received_ns), f"{frame.id}{_marks(shown, frame)}"], MARK)
        self._encode(drawn, shown.order_ns)
        self._last_picture = shown.picture
        self.frames += 1
        self.boxes += len(pointed)
        self.first = self.first or frame.id
        self.last = frame.id

    def _tell_gap(self, gap: frames_pb2.Gap | None) -> None:
        """A dark picture that says what is missing, in the place of it."""
        if gap is None or self._last_picture is None:
            return
        self.gaps += 1
        reason = frames_pb2.GapReason.Name(gap.reason).removeprefix("GAP_REASON_").lower().replace("_", " ")
        count = f"{gap.count} frames" if gap.HasField("count") else "an unknown number of frames"
        drawn = with_strip(grey(self._last_picture), [f"no footage: {reason}", f"{count} are missing here"], MARK)
        self._encode(drawn, self._last_ns + _USUAL_STEP_NS)

    def _encode(self, picture: Image.Image, due_ns: int) -> None:
        if self._stream is None:
            self._begin(picture, due_ns)
        if picture.size != self._size:
            picture = picture.resize(self._size)
        frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
        frame.pts = max(self._last_pts + 1, (due_ns - self._begun_ns) * _TICKS // 1_000_000_000)
        frame.time_base = Fraction(1, _TICKS)
        self._last_pts = frame.pts
        self._last_ns = due_ns
        self._container.mux(self._stream.encode(frame))

    def _begin(self, picture: Image.Image, due_ns: int) -> None:
        self._size = picture.width & ~1, picture.height & ~1
        self._begun_ns = due_ns
        # Stands in the file itself, wherever it is renamed to.
        self._container.metadata["title"] = MARK
        self._container.metadata["comment"] = (
            "Re-encoded and drawn on. The exact footage is exported without --viewing."
        )
        stream = self._container.add_stream("libx264", rate=25, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        self._stream = stream


def _marks(shown: Shown, frame: ShownFrame) -> str:
    """What keeps a picture from being exactly what the camera saw."""
    if frame.damaged:
        return "   (damaged)"
    if frame.follows_damage:
        return "   (follows damage)"
    return "   (frames that it refers to are missing)" if shown.is_behind_gap else ""
