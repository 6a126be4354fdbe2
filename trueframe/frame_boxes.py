"""Where detectors pointed in recorded frames: out of the ledger, frame by frame, and out of events.

What should not be in this module: drawing (`drawing`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mesh.errors import TrueframeError
from mesh.ids import FrameId

if TYPE_CHECKING:
    from trueframe.client import Client
    from trueframe.v1.events_pb2 import Box, Event

Boxes = Mapping[FrameId, Sequence["Box"]]


def boxes_in(tf: Client, camera: str, from_ns: int, to_ns: int, events: Sequence[Event] = ()) -> tuple[Boxes, str]:
    """Boxes of exactly the frames received between two moments, and why there may be more; "" if there are not.

    Of all inspections together; a frame that was not inspected has none. Those of the peaks of `events` stand in where
    the ledger cannot be read.
    """
    found: dict[FrameId, list[Box]] = defaultdict(list)
    problem = ""
    try:
        for entry in tf.ledger.read(camera, from_ns=from_ns, to_ns=to_ns):
            if entry.verdict.boxes:
                found[FrameId.from_proto(entry.verdict.id)] += entry.verdict.boxes
    except TrueframeError as error:
        problem = f"boxes of single frames are missing: {error}"
    for event in events:
        if event.HasField("peak") and not found.get(peak := FrameId.from_proto(event.peak)):
            found[peak] += event.boxes
    return found, problem
