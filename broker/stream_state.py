"""What a client has to remember of its stream so that a new one goes on without a seam. Pure.

Belongs here: last ids, what was told already, which errors heal. Does not belong here: calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from broker.core import WireFrame
from mesh.errors import (
    Cancelled,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    TrueframeError,
    Unavailable,
)
from mesh.ids import FrameId
from trueframe.v1.broker_pb2 import CameraStart, StreamFramesRequest
from trueframe.v1.frames_pb2 import EpochEnded, EpochStarted, Gap

# A FrameId: behind it. An int: UTC nanoseconds. None: live.
Start: TypeAlias = FrameId | int | None
StreamItem: TypeAlias = WireFrame | Gap | EpochStarted | EpochEnded


class StreamState:
    """One logical stream over any number of calls."""

    def __init__(self, cameras: Iterable[str], all_cameras: bool, starts: Mapping[str, Start], subscriber: str) -> None:
        if isinstance(cameras, str):
            raise InvalidArgument("cameras", "is one text", "Give a list of camera ids.")
        self._cameras = list(dict.fromkeys(cameras))
        self._has_all = all_cameras
        self._starts = dict(starts)
        self._subscriber = subscriber
        self._last: dict[str, tuple[int, int]] = {}
        self._started: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        self.has_connected = False

    def request(self) -> StreamFramesRequest:
        """The request that opens the stream, or opens it again behind the last ids."""
        request = StreamFramesRequest(cameras=self._cameras, all_cameras=self._has_all, subscriber=self._subscriber)
        for camera in sorted({*self._starts, *self._last}):
            start = CameraStart(camera=camera)
            if camera in self._last:
                start.after.camera = camera
                start.after.epoch, start.after.seq = self._last[camera]
            else:
                given = self._starts[camera]
                if isinstance(given, FrameId):
                    start.after.CopyFrom(given.to_proto())
                elif given is not None:
                    start.received_ns = given
            request.starts.append(start)
        return request

    def take(self, item: StreamItem) -> bool:
        """Notes an item; False if the caller had it already (begin and end of an epoch, told again after resuming)."""
        if isinstance(item, WireFrame):
            self._last[item.camera] = (item.epoch, item.seq)
            return True
        if isinstance(item, EpochStarted):
            is_new = self._started.get(item.camera, -1) < item.epoch
            self._started[item.camera] = max(item.epoch, self._started.get(item.camera, -1))
            return is_new
        if isinstance(item, EpochEnded):
            is_new = self._ended.get(item.camera, -1) < item.epoch
            self._ended[item.camera] = max(item.epoch, self._ended.get(item.camera, -1))
            return is_new
        return True

    def asks_about_missing(self, error: TrueframeError) -> bool:
        """Whether a camera of a stream that once ran is gone."""
        return isinstance(error, NotFound) and self.has_connected and not self._has_all

    def keep_only(self, existing: Iterable[str]) -> bool:
        """Forgets cameras that are gone; False if none is left, or none was gone."""
        known = set(existing)
        kept = [camera for camera in self._cameras if camera in known]
        is_changed = kept != self._cameras
        self._cameras = kept
        return bool(kept) and is_changed

    def is_transient(self, error: TrueframeError) -> bool:
        """Whether opening the stream again may help."""
        # Right after a break the broker may still count the old subscription.
        if self.has_connected and isinstance(error, ResourceExhausted | Internal):
            return True
        return self.is_transient_for_any(error)

    @staticmethod
    def is_transient_for_any(error: TrueframeError) -> bool:
        """Whether the same call may succeed later without anything being changed."""
        return isinstance(error, Unavailable | Cancelled | DeadlineExceeded)
