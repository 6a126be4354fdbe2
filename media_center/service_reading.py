"""Calls that find, list and replay footage, and show one frame of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any

from media_center.footage import CameraFootage
from media_center.passage import Passage
from media_center.payloads import index_row
from media_center.ranges import Bounds, parse_frame_id, parse_range, select
from media_center.recordings import list_recordings
from media_center.replay import replay
from media_center.room import Room
from media_center.snapshot import decode, read_coded
from media_center.snapshot_proof import prove_picture
from media_center.step import step
from media_center.walk import Run
from mesh.errors import InvalidArgument, NotFound
from mesh.ids import FrameId
from mesh.security import Principal, principal_of
from trueframe.v1 import footage_pb2, frames_pb2

_ROWS_PER_MESSAGE = 500
_MAX_REPLAY_CAMERAS = 256
_MAX_SPEED = 1000.0
_MAX_PICTURE_WIDTH = 16_384


class ReadingRoom(Room):
    """Footage found, replayed and looked at."""

    async def ListRecordings(  # noqa: N802
        self, request: footage_pb2.ListRecordingsRequest, context: Any
    ) -> footage_pb2.ListRecordingsResponse:
        """Spans and gaps."""
        if request.from_ns < 0 or request.to_ns < 0 or (request.to_ns and request.from_ns > request.to_ns):
            raise InvalidArgument("range", "is empty", "Swap from_ns and to_ns.")
        answer = footage_pb2.ListRecordingsResponse()
        for camera in self._cameras(principal_of(context), request.cameras):
            footage = self._archive.footage(camera)
            spans = await asyncio.to_thread(list_recordings, footage, request.from_ns, request.to_ns)
            answer.recordings.extend(spans.recordings)
            answer.gaps.extend(spans.gaps)
        return answer

    async def LocateFrame(  # noqa: N802
        self, request: footage_pb2.LocateFrameRequest, context: Any
    ) -> footage_pb2.LocateFrameResponse:
        """The frame at a moment."""
        footage = self._footage(principal_of(context), request.camera)
        row = await asyncio.to_thread(_locate, footage, request.received_ns)
        return footage_pb2.LocateFrameResponse(frame=row)

    async def StepFrame(  # noqa: N802
        self, request: footage_pb2.StepFrameRequest, context: Any
    ) -> footage_pb2.StepFrameResponse:
        """A frame's neighbour."""
        frame = parse_frame_id(request.id)
        footage = self._footage(principal_of(context), frame.camera)
        return await asyncio.to_thread(_step, footage, frame, request.steps)

    async def ListFrames(  # noqa: N802
        self, request: footage_pb2.ListFramesRequest, context: Any
    ) -> AsyncIterator[footage_pb2.ListFramesResponse]:
        """Index rows and gaps."""
        bounds = parse_range(request.range)
        footage = self._footage(principal_of(context), bounds.camera)
        answers = _list_frames(footage, bounds)
        while answer := await asyncio.to_thread(next, answers, None):
            yield answer

    async def Replay(  # noqa: N802 - a coroutine that writes, not a generator
        self, request: footage_pb2.ReplayRequest, context: Any
    ) -> None:
        """Recorded frames. Writes ready-made bytes, so it is served through `generic_handlers` only."""
        principal = principal_of(context)
        bounds = self._replay_bounds(request, principal)
        cameras = [bound.camera for bound in bounds]
        await self._require_unmasked(principal, cameras)
        for bound in bounds:
            await self._note_range(principal, "replay", bound, "and what follows" if request.follow else "")
        stream = replay(
            self._archive, bounds, self._clock,
            speed=request.speed, with_lead_in=request.with_lead_in, follow=request.follow,
        )  # fmt: skip
        async for batch in stream:
            # Each time: a replay that follows may be open when a mask is set.
            await self._require_unmasked(principal, cameras)
            await context.write(batch)

    async def GetSnapshot(  # noqa: N802
        self, request: footage_pb2.GetSnapshotRequest, context: Any
    ) -> footage_pb2.GetSnapshotResponse:
        """One picture."""
        frame = parse_frame_id(request.id)
        if request.max_width > _MAX_PICTURE_WIDTH:
            raise InvalidArgument("max_width", f"is more than {_MAX_PICTURE_WIDTH}")
        principal = principal_of(context)
        footage = self._footage(principal, frame.camera)
        coded = await asyncio.to_thread(read_coded, footage, frame)
        self._note(principal, "snapshot", frame.camera, coded.row.received_ns, coded.row.received_ns, str(frame))
        masks = await self._masks_for(principal, frame.camera, is_asked=request.masked)
        png = await decode(coded, self._decoder, request.max_width, masks)
        proof = b""
        if not masks:
            proof = await asyncio.to_thread(
                prove_picture, footage, coded, png, request.max_width, self._clock.utc_ns(), self._signer
            )
        return footage_pb2.GetSnapshotResponse(
            png=png, frame=coded.row, inexact=coded.inexact, proof=proof, masked=bool(masks)
        )

    def _replay_bounds(self, request: footage_pb2.ReplayRequest, principal: Principal) -> list[Bounds]:
        bounds = [parse_range(message) for message in request.ranges]
        if not 0 < len(bounds) <= _MAX_REPLAY_CAMERAS:
            raise InvalidArgument("ranges", f"are {len(bounds)}; 1 to {_MAX_REPLAY_CAMERAS} are possible")
        cameras = [bound.camera for bound in bounds]
        if len(set(cameras)) < len(cameras):
            raise InvalidArgument("ranges", "name a camera twice", "Ask for one range a camera.")
        if not 0 <= request.speed <= _MAX_SPEED:
            raise InvalidArgument("speed", f"is {request.speed}; 0 to {_MAX_SPEED:g} are possible")
        if request.follow and any(bound.has_end for bound in bounds):
            raise InvalidArgument("follow", "is for ranges without an end", "Leave out last and to_ns.")
        for camera in cameras:
            principal.require(camera)
        return bounds


def _locate(footage: CameraFootage, received_ns: int) -> footage_pb2.IndexRow:
    position = footage.last_received_until(received_ns) or footage.first_received_from(received_ns)
    if position is None:
        raise NotFound(f"footage of {footage.camera!r}", "has no frame yet")
    return index_row(footage.camera, footage.record(position).epoch, footage.row(position))


def _step(footage: CameraFootage, frame: FrameId, steps: int) -> footage_pb2.StepFrameResponse:
    stepped = step(footage, frame, steps)
    epoch = footage.record(stepped.position).epoch
    row = index_row(footage.camera, epoch, footage.row(stepped.position))
    return footage_pb2.StepFrameResponse(frame=row, gaps=stepped.gaps)


def _list_frames(footage: CameraFootage, bounds: Bounds) -> Iterator[footage_pb2.ListFramesResponse]:
    for piece in Passage(select(footage, bounds), footage.camera).pieces(footage):
        if isinstance(piece, Run):
            rows = iter(piece.rows)
            while part := list(islice(rows, _ROWS_PER_MESSAGE)):
                yield footage_pb2.ListFramesResponse(rows=[index_row(footage.camera, piece.epoch, r) for r in part])
        elif isinstance(piece, frames_pb2.Gap):
            yield footage_pb2.ListFramesResponse(gap=piece)
