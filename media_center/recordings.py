"""What is recorded of a camera: unbroken spans, and what is missing between them."""

from __future__ import annotations

from dataclasses import dataclass, field

from media_center.catalogue import Segment
from media_center.footage import CameraFootage
from media_center.passage import Passage
from media_center.ranges import Bounds, select
from media_center.walk import Run, Told
from mesh.ids import FrameId
from trueframe.v1 import footage_pb2, frames_pb2


@dataclass(slots=True)
class Spans:
    """Recordings and gaps of one camera, in recorded order."""

    camera: str
    recordings: list[footage_pb2.Recording] = field(default_factory=list)
    gaps: list[frames_pb2.Gap] = field(default_factory=list)
    _is_broken: bool = True

    def told(self, item: Told) -> None:
        """Takes what stands between frames."""
        if isinstance(item, frames_pb2.Gap):
            self.gaps.append(item)
        if not isinstance(item, frames_pb2.EpochStarted):
            self._is_broken = True

    def run(self, segment: Segment, seqs: tuple[int, int], times: tuple[int, int], frames: int, size: int) -> None:
        """Takes frames without a hole."""
        last = self.recordings[-1] if self.recordings else None
        if last is None or self._is_broken or last.last.epoch != segment.epoch or last.last.seq + 1 != seqs[0]:
            last = footage_pb2.Recording(
                camera=self.camera,
                first=FrameId(self.camera, segment.epoch, seqs[0]).to_proto(),
                first_ns=times[0],
                codec=segment.codec,  # type: ignore[arg-type]
                width=segment.width,
                height=segment.height,
            )
            self.recordings.append(last)
        self._is_broken = False
        last.last.CopyFrom(FrameId(self.camera, segment.epoch, seqs[1]).to_proto())
        last.last_ns = times[1]
        last.frames += frames
        last.size_bytes += size


def list_recordings(footage: CameraFootage, from_ns: int, to_ns: int) -> Spans:
    """Spans and gaps between two moments; 0 for an open end. Reads rows only of segments that are broken or cut."""
    selection = select(footage, Bounds(footage.camera, None, from_ns or None, None, to_ns or None))
    spans = Spans(footage.camera)
    for piece in Passage(selection, footage.camera).pieces(footage, passes_over=lambda _: True):
        if isinstance(piece, Segment):
            seqs, times = (piece.first_seq, piece.last_seq), (piece.first_ns, piece.last_ns)
            spans.run(piece, seqs, times, piece.frames, piece.payload_bytes)
        elif isinstance(piece, Run):
            rows = piece.rows
            seqs = int(rows["seq"][0]), int(rows["seq"][-1])
            times = int(rows["received_ns"][0]), int(rows["received_ns"][-1])
            spans.run(footage.view[piece.segment], seqs, times, len(rows), int(rows["size"].sum(dtype="i8")))
        else:
            spans.told(piece)
    return spans
