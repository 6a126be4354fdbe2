"""A desk for the terminal view without services: footage, answers and errors as a test lays them out."""

from __future__ import annotations

import asyncio
import io

import av
import numpy as np

from mesh.errors import NotFound, TrueframeError
from mesh.ids import FrameId
from tui.desk import Explained, RecordedFrame
from tui.reel import Row

SECOND_NS = 1_000_000_000


def png(colour: int) -> bytes:
    """A picture of one colour."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="image2pipe") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "rgb24"
        frame = av.VideoFrame.from_ndarray(np.full((36, 64, 3), colour, np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


class DeskByHand:
    """Footage of ten frames a second per camera. `asked` tells what was asked for; `fails` is raised instead."""

    def __init__(self, *rows: Row) -> None:
        self.rows = sorted(rows, key=lambda row: row.id)
        self.asked: list[tuple[str, object]] = []
        self.fails: TrueframeError | None = None
        self.explanations: list[Explained] = []
        # Cleared, nothing is answered until it is set again.
        self.answers = asyncio.Event()
        self.answers.set()
        self.in_flight = 0
        self.most_in_flight = 0

    async def _answer(self, what: str, about: object) -> None:
        self.asked.append((what, about))
        await self.answers.wait()
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails

    async def picture(self, frame: FrameId, width: int) -> RecordedFrame:
        """As Desk.picture."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self._answer("picture", frame)
        finally:
            self.in_flight -= 1
        row = next((row for row in self.rows if row.id == frame), None)
        if row is None:
            raise NotFound(f"frame {frame}", "is not recorded")
        return RecordedFrame(frame, row.received_ns, png(80))

    async def locate(self, camera: str, received_ns: int) -> Row:
        """As Desk.locate."""
        await self._answer("locate", received_ns)
        rows = [row for row in self.rows if row.id.camera == camera]
        if not rows:
            raise NotFound(f"camera {camera}", "was never recorded")
        return next((row for row in reversed(rows) if row.received_ns <= received_ns), rows[0])

    async def rows_until(self, row: Row) -> list[Row]:
        """As Desk.rows_until."""
        await self._answer("rows_until", row.id)
        return [one for one in self.rows if one.id <= row.id][-20:]

    async def rows_from(self, row: Row, count: int) -> list[Row]:
        """As Desk.rows_from."""
        await self._answer("rows_from", row.id)
        return [one for one in self.rows if one.id >= row.id][: count + 1]

    async def explain(self, row: Row) -> list[Explained]:
        """As Desk.explain."""
        await self._answer("explain", row.id)
        return self.explanations

    async def acknowledge(self, event_id: str) -> None:
        """As Desk.acknowledge."""
        await self._answer("acknowledge", event_id)

    async def comment(self, event_id: str, text: str) -> None:
        """As Desk.comment."""
        await self._answer("comment", (event_id, text))


def footage(camera: str, count: int, epoch: int = 1, began_ns: int = 100 * SECOND_NS) -> list[Row]:
    """Consecutive frames, ten a second."""
    return [Row(FrameId(camera, epoch, seq), began_ns + seq * SECOND_NS // 10) for seq in range(count)]
