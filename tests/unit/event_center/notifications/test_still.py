"""The still is waited for so long and no longer, and a media center that is away holds nobody up."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from event_center.notifications.delivery import Content
from event_center.notifications.still import StillMaker
from mesh.clocks import ManualClock
from mesh.errors import NotFound, TrueframeError, Unavailable
from mesh.ids import FrameId
from trueframe.v1 import footage_pb2


class Footage:
    """Answers as a test lays it out, then with a picture."""

    def __init__(self, *errors: TrueframeError) -> None:
        self.errors = list(errors)
        self.asked = 0

    async def snapshot(
        self, frame: FrameId, max_width: int = 0, *, masked: bool = False
    ) -> footage_pb2.GetSnapshotResponse:
        assert masked, "what leaves the house has its privacy masks"
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        buffer = io.BytesIO()
        Image.new("RGB", (64, 36)).save(buffer, "PNG")
        return footage_pb2.GetSnapshotResponse(png=buffer.getvalue())


def content(seq: int = 1) -> Content:
    return Content("raise", "x", event="e", frame=f"yard/1/{seq}")


def maker(footage: Any, clock: ManualClock | None = None) -> StillMaker:
    return StillMaker(footage, clock or ManualClock())


async def test_a_frame_that_is_not_on_disk_yet_is_asked_for_again_and_kept() -> None:
    footage = Footage(NotFound("frame", "is not recorded"))
    stills = maker(footage)
    first, without = await stills.still(content(), 5)
    assert (first is not None, without) == (True, "")
    assert (await stills.still(content(), 5))[0] is first
    assert footage.asked == 2


async def test_without_the_frame_it_says_why() -> None:
    footage = Footage(*[NotFound("frame yard/1/1", "is not recorded")] * 9)
    still, without = await maker(footage).still(content(), 0.1)
    assert still is None
    assert without.startswith("without its picture: frame yard/1/1: is not recorded")


async def test_a_media_center_that_does_not_answer_is_left_alone_for_a_while() -> None:
    footage, clock = Footage(*[Unavailable("media center", "is away")]), ManualClock()
    stills = maker(footage, clock)
    for seq in range(5):
        assert await stills.still(content(seq), 0.1) == (None, "without its picture: the media center does not answer")
    assert footage.asked == 1
    clock.advance(11)
    assert (await stills.still(content(), 0.1))[0] is not None
