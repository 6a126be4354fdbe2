"""Recorded pictures of a masked camera, one snapshot after the other, for those who get no packets of it.

The media center covers the masks and decodes each picture from its join point on: right, and slower than a replay by
about half the distance between join points. What should not be in this module: drawing and encoding (`viewing_copy`).
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from PIL import Image

from mesh.errors import DataLoss, FailedPrecondition
from mesh.ids import FrameId
from trueframe.v1 import footage_pb2, frames_pb2
from trueframe.viewing_copy import Shown, ShownFrame

if TYPE_CHECKING:
    from media_center.client import Place, SyncFootageClient

# Pictures that may be presented before one that was sent before them, as codecs allow.
_REORDERED = 16


def masked_pictures(footage: SyncFootageClient, camera: str, start: Place, end: Place) -> Iterator[Shown]:
    """Pictures of a range in order of presentation, and gaps between them; frames without a picture are left out.

    Raises as the media center does.
    """
    waiting: list[tuple[int, int, footage_pb2.IndexRow]] = []
    due: list[int] = []
    epoch = 0

    def drained(down_to: int) -> Iterator[Shown]:
        while len(waiting) > down_to:
            *_, row = heapq.heappop(waiting)
            due_ns = heapq.heappop(due)
            frame = FrameId.from_proto(row.id)
            try:
                taken = footage.snapshot(frame, masked=True)
            except (FailedPrecondition, DataLoss):
                continue  # it gives no picture; its frame stays without one
            with Image.open(io.BytesIO(taken.png)) as png:
                picture = png.convert("RGB")
            told = ShownFrame(frame, row.received_ns, row.damaged, row.follows_damage or taken.inexact)
            yield Shown(picture, told, None, due_ns)

    for item in footage.frames(camera, start, end):
        if isinstance(item, frames_pb2.Gap):
            yield from drained(0)
            yield Shown(None, None, item)
            continue
        if item.id.epoch != epoch:
            yield from drained(0)
            epoch = item.id.epoch
        heapq.heappush(waiting, (item.pts if item.HasField("pts") else item.id.seq, item.id.seq, item))
        heapq.heappush(due, item.received_ns)
        yield from drained(_REORDERED)
    yield from drained(0)
