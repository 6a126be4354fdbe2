"""What a client has to remember of its stream so that a new one goes on without a seam. Pure.

Belongs here: what is wanted, last ids, what was told already, which errors heal and when to try again.
Does not belong here: calls.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, Unpack

from broker.core import WireFrame
from broker.kinds import DeliveryMode
from broker.stream_options import Delivery, Start, StreamTerms
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
from trueframe.v1.broker_pb2 import (
    DELIVERY_KEYFRAMES,
    DELIVERY_LATEST,
    DELIVERY_LOSSLESS,
    CameraStart,
    StreamFramesRequest,
)
from trueframe.v1.frames_pb2 import EpochEnded, EpochStarted, Gap

StreamItem: TypeAlias = WireFrame | Gap | EpochStarted | EpochEnded

_DELIVERIES: dict[str, DeliveryMode] = {
    "lossless": DELIVERY_LOSSLESS,
    "latest": DELIVERY_LATEST,
    "keyframes": DELIVERY_KEYFRAMES,
}
_RETRY_FIRST_S = 0.1
_RETRY_LAST_S = 2.0
# Of its own: a program that seeds the global generator gets from it what it expects.
_dice = random.Random()


@dataclass(frozen=True, slots=True)
class Selection:
    """Cameras that a stream wants, and where each begins."""

    cameras: tuple[str, ...] = ()
    has_all: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    starts: Mapping[str, Start] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        cameras: Iterable[str],
        all_cameras: bool = False,
        labels: Mapping[str, str] | None = None,
        starts: Mapping[str, Start] | None = None,
    ) -> Selection:
        """Raises InvalidArgument where a single text is given for several ids."""
        if isinstance(cameras, str):
            raise InvalidArgument("cameras", "is one text", "Give a list of camera ids.")
        return cls(tuple(dict.fromkeys(cameras)), all_cameras, dict(labels or {}), dict(starts or {}))

    def request(self) -> StreamFramesRequest:
        """The cameras of this selection, without starts."""
        return StreamFramesRequest(cameras=self.cameras, all_cameras=self.has_all, labels=self.labels)


class StreamState:
    """One logical stream over any number of calls."""

    def __init__(
        self,
        selection: Selection,
        subscriber: str = "",
        delivery: Delivery = "lossless",
        max_rate: float = 0.0,
        max_pending_items: int = 0,
        max_pending_bytes: int = 0,
        reconnect: bool = True,
        connect_timeout_s: float | None = None,
    ) -> None:
        if delivery not in _DELIVERIES:
            raise InvalidArgument(f"delivery {delivery!r}", "is not known", f"Use one of: {', '.join(_DELIVERIES)}.")
        if max_pending_items < 0 or max_pending_bytes < 0:
            raise InvalidArgument("a limit of what may wait", "is negative", "Use 0 for the broker's own.")
        self._selection = selection
        self._terms = StreamFramesRequest(
            subscriber=subscriber,
            delivery=_DELIVERIES[delivery],
            max_rate=max_rate,
            max_pending_items=max_pending_items,
            max_pending_bytes=max_pending_bytes,
        )
        self._may_reconnect = reconnect
        self._connect_timeout_s = connect_timeout_s
        self._last: dict[str, tuple[int, int]] = {}
        self._started: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        # Named by a change, and nothing of them seen yet: if one does not exist, that was a mistake.
        self._fresh: set[str] = set()
        self.has_connected = False

    @classmethod
    def of(
        cls,
        cameras: Iterable[str],
        *,
        all_cameras: bool = False,
        labels: Mapping[str, str] | None = None,
        starts: Mapping[str, Start] | None = None,
        **terms: Unpack[StreamTerms],
    ) -> StreamState:
        """What a caller asked for. Raises InvalidArgument."""
        return cls(Selection.of(cameras, all_cameras, labels, starts), **terms)

    def retry(self, now_s: float) -> Retry:
        """For the calls of this stream, the first of which begins now."""
        return Retry(self._connect_timeout_s, now_s)

    def request(self) -> StreamFramesRequest:
        """The request that opens the stream, or opens it again behind the last ids."""
        request = self._selection.request()
        request.MergeFrom(self._terms)
        starts = self._selection.starts
        for camera in sorted({*starts, *self._last}):
            last = self._last.get(camera)
            request.starts.append(_start(camera, FrameId(camera, *last) if last else starts[camera]))
        return request

    def change(self, selection: Selection) -> StreamFramesRequest:
        """Wants other cameras from now on; returns the request that says so on the open stream."""
        self._fresh |= {camera for camera in selection.cameras if camera not in self._selection.cameras}
        self._selection = selection
        if not selection.has_all and not selection.labels:
            # Whoever comes back later begins live, not behind an id of long ago.
            for seen in (self._last, self._started, self._ended):
                for camera in seen.keys() - selection.cameras:
                    del seen[camera]
        request = selection.request()
        request.starts.extend(_start(camera, start) for camera, start in sorted(selection.starts.items()))
        return request

    def take(self, item: StreamItem) -> bool:
        """Notes an item; False if the caller had it already (begin and end of an epoch, told again after resuming)."""
        if isinstance(item, WireFrame):
            self._last[item.camera] = (item.epoch, item.seq)
            if self._fresh:
                self._fresh.discard(item.camera)
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
        """Whether a camera of a stream that once ran is gone, and it may go on with those that are left."""
        is_missing = isinstance(error, NotFound) and self.has_connected and bool(self._selection.cameras)
        return is_missing and self._may_reconnect

    def keep_only(self, existing: Iterable[str]) -> bool:
        """Forgets cameras that are gone; False if none is left, none was gone, or one never was there."""
        known = set(existing)
        before = self._selection
        kept = tuple(camera for camera in before.cameras if camera in known)
        if not self._fresh <= known:
            return False
        self._selection = Selection(kept, before.has_all, before.labels, before.starts)
        return bool(kept or before.labels) and kept != before.cameras

    def is_transient(self, error: TrueframeError) -> bool:
        """Whether the stream is to be opened again, and that may help."""
        if not self._may_reconnect:
            return False
        # Right after a break the broker may still count the old subscription.
        if self.has_connected and isinstance(error, ResourceExhausted | Internal):
            return True
        return self.is_transient_for_any(error)

    @staticmethod
    def is_transient_for_any(error: TrueframeError) -> bool:
        """Whether the same call may succeed later without anything being changed."""
        return isinstance(error, Unavailable | Cancelled | DeadlineExceeded)


class Retry:
    """How long to wait before the next attempt. `connect_timeout_s` bounds the wait for the first success."""

    def __init__(self, connect_timeout_s: float | None, now_s: float) -> None:
        self._give_up_at_s = None if connect_timeout_s is None else now_s + connect_timeout_s
        self._failures = 0

    def worked(self) -> None:
        """Something came."""
        self._failures, self._give_up_at_s = 0, None

    def wait_s(self, now_s: float) -> float | None:
        """After one more failure; None: it is time to give up."""
        self._failures += 1
        # Jittered, so that subscribers of a broker that restarts do not come back as one.
        wait_s = min(_RETRY_LAST_S, _RETRY_FIRST_S * 2 ** min(self._failures - 1, 8)) * _dice.uniform(0.5, 1.0)
        return None if self._give_up_at_s is not None and now_s + wait_s > self._give_up_at_s else wait_s


def _start(camera: str, given: Start) -> CameraStart:
    start = CameraStart(camera=camera)
    if isinstance(given, FrameId):
        start.after.CopyFrom(given.to_proto())
    elif given is not None:
        start.received_ns = given
    return start
