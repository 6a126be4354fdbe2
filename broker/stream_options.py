"""What may be asked of a stream, by keyword: the same for a client with an event loop and for one without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, TypedDict

from mesh.ids import FrameId

# A FrameId: behind it. An int: UTC nanoseconds. None: live.
Start: TypeAlias = FrameId | int | None
Delivery: TypeAlias = Literal["lossless", "latest", "keyframes"]


class CameraSet(TypedDict, total=False):
    """Cameras beside those named by id.

    `labels`: all that carry these, now or later; `all_cameras`: all, later ones included. `starts`: a FrameId to
    resume behind, or UTC nanoseconds, by camera; live without one.
    """

    all_cameras: bool
    labels: Mapping[str, str] | None
    starts: Mapping[str, Start] | None


class StreamTerms(TypedDict, total=False):
    """How a stream is delivered.

    `delivery`: "lossless" (if you do not say), "latest" (a reader that is slow goes on at the newest join point), or
    "keyframes" (those alone, of each camera at most `max_rate` a second; 0 is all). `max_pending_*` bound what waits
    for you before you are slow; 0 takes the broker's own limit. `subscriber` names you in counters and logs.

    With `reconnect` (if you do not say) a stream that breaks is opened again behind the last ids; without, Unavailable
    is raised. `connect_timeout_s` bounds the wait for the first connection (None: for ever).
    """

    delivery: Delivery
    max_rate: float
    max_pending_items: int
    max_pending_bytes: int
    subscriber: str
    reconnect: bool
    connect_timeout_s: float | None


class StreamOptions(CameraSet, StreamTerms, total=False):
    """All of it."""
