"""Calls that compare footage with what proves it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

from media_center.room import Room
from media_center.scrub import CameraFinding, Progress
from mesh.security import principal_of
from trueframe.v1 import footage_pb2

_TELL_EVERY_S = 0.5


class ProofRoom(Room):
    """Scrubbing at once."""

    async def ScrubFootage(  # noqa: N802
        self, request: footage_pb2.ScrubFootageRequest, context: Any
    ) -> AsyncIterator[footage_pb2.ScrubFootageResponse]:
        """Progress twice a second, and findings as they are made; the last answer is complete."""
        cameras = self._cameras(principal_of(context), request.cameras)
        for camera in cameras:
            self._archive.footage(camera)
        loop = asyncio.get_running_loop()
        stop = threading.Event()
        work = self._scrubber.scrub(cameras, stop)
        told_s = loop.time()
        answer = footage_pb2.ScrubFootageResponse()
        try:
            while (progress := await asyncio.to_thread(next, work, None)) is not None:
                answer = _answer(progress)
                if progress.findings or loop.time() - told_s >= _TELL_EVERY_S:
                    progress.findings.clear()
                    told_s = loop.time()
                    yield answer
            answer.ClearField("findings")
            yield answer
        finally:
            stop.set()


def _answer(progress: Progress) -> footage_pb2.ScrubFootageResponse:
    return footage_pb2.ScrubFootageResponse(
        segments_done=progress.segments_done,
        segments=max(progress.segments, progress.segments_done),
        bytes_done=progress.bytes_done,
        findings=[_finding(one) for one in progress.findings],
    )


def _finding(found: CameraFinding) -> footage_pb2.Finding:
    finding = found.finding
    detail = finding.detail
    if finding.first is not None and finding.last is not None and finding.last != finding.first:
        detail += f", to frame {finding.last}"
    return footage_pb2.Finding(
        camera=found.camera,
        segment=finding.segment,
        kind=finding.kind,
        frame=finding.first.to_proto() if finding.first is not None else None,
        detail=detail,
    )
