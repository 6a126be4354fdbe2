"""One camera's recorded stream: items in the very form and order of the live one.

What belongs here: going from rows to encoded items, telling what is unreadable, going on when more is recorded. What
does not: several cameras on one clock and pacing (`replay`). Reads files: call it in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from broker.client import encode_item
from media_center.catalogue import Segment
from media_center.footage import CameraFootage
from media_center.passage import Passage
from media_center.payloads import RecordedFrame, read_frames
from media_center.ranges import Selection
from media_center.walk import Run
from mesh.ids import FrameId
from trueframe.v1 import frames_pb2


@dataclass(frozen=True, slots=True)
class StreamedItem:
    """One entry of a FrameBatch, and when it is due."""

    due_ns: int
    """UTC nanoseconds of the frame, or of the last frame before it; never less than before."""
    data: bytes
    is_unreadable: bool = False


class CameraStream:
    """Streams a selection; `items` may be called again with newer footage to go on where it stopped."""

    def __init__(self, selection: Selection, camera: str) -> None:
        self._passage = Passage(selection, camera)
        self._due_ns = 0
        self.camera = camera

    def items(self, footage: CameraFootage) -> Iterator[StreamedItem]:
        """The items from where it stands to the end of the selection, or of what is recorded now."""
        for piece in self._passage.pieces(footage):
            if isinstance(piece, Run):
                yield from self._frames(footage, piece)
            elif not isinstance(piece, Segment):
                yield StreamedItem(self._due_ns, encode_item(piece))

    def _frames(self, footage: CameraFootage, run: Run) -> Iterator[StreamedItem]:
        last: FrameId | None = None
        missing: list[RecordedFrame] = []
        for frame in read_frames(footage.view.path(run.segment), run.epoch, run.rows):
            if frame.payload is None:
                missing.append(frame)
                continue
            frame_id = FrameId(self.camera, frame.epoch, frame.seq)
            if missing:
                yield self._unreadable(footage, run, missing, (last, frame_id))
                missing = []
            self._due_ns = max(self._due_ns, frame.received_ns)
            last = frame_id
            yield StreamedItem(self._due_ns, frame.encode(self.camera))
        if missing:
            yield self._unreadable(footage, run, missing, (last, None))

    def _unreadable(
        self, footage: CameraFootage, run: Run, missing: list[RecordedFrame],
        around: tuple[FrameId | None, FrameId | None],
    ) -> StreamedItem:  # fmt: skip
        first = missing[0]
        after, before = around
        has_expired = footage.view.has_expired(run.segment)
        if after is None and first.seq > 0:
            after = FrameId(self.camera, first.epoch, first.seq - 1)
        self._due_ns = max(self._due_ns, missing[-1].received_ns)
        gap = frames_pb2.Gap(
            camera=self.camera,
            after=after.to_proto() if after is not None else None,
            before=before.to_proto() if before is not None else None,
            reason=frames_pb2.GAP_REASON_EXPIRED if has_expired else frames_pb2.GAP_REASON_UNREADABLE,
            count=len(missing),
            noticed_ns=first.received_ns,
        )
        return StreamedItem(self._due_ns, encode_item(gap), is_unreadable=not has_expired)
