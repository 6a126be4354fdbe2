"""What a subscriber asks for, checked: which cameras, from where, delivered how. Pure.

Belongs here: reading StreamFramesRequest, refusing ill-formed ones, whether a camera is meant. Does not belong here:
which cameras there are, who may see them, the stream itself (`subscriptions`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from broker.kinds import DeliveryMode
from mesh.errors import InvalidArgument
from mesh.ids import FrameId, validate_camera_id
from trueframe.v1.broker_pb2 import (
    DELIVERY_KEYFRAMES,
    DELIVERY_LATEST,
    DELIVERY_LOSSLESS,
    DELIVERY_UNSPECIFIED,
    CameraStart,
    Delivery,
    StreamFramesRequest,
)

_MAX_NAME_CHARACTERS = 63
_MAX_LABELS = 32
_MAX_LABEL_CHARACTERS = 128

# None: live. An id: behind it. An int: UTC nanoseconds.
Start = FrameId | int | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What stays the same as long as a subscription is open. Limits of 0 are the broker's own."""

    name: str = ""
    delivery: DeliveryMode = DELIVERY_LOSSLESS
    max_rate: float = 0.0
    max_pending_items: int = 0
    max_pending_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which cameras are meant, now and later, and where each begins."""

    named: frozenset[str]
    has_all: bool
    labels: Mapping[str, str]
    starts: Mapping[str, Start]

    def includes(self, camera: str, labels: Mapping[str, str]) -> bool:
        """Whether a camera that carries these labels is meant."""
        if self.has_all or camera in self.named:
            return True
        return bool(self.labels) and all(labels.get(key) == value for key, value in self.labels.items())


def terms_of(request: StreamFramesRequest) -> Terms:
    """Raises InvalidArgument."""
    if len(request.subscriber) > _MAX_NAME_CHARACTERS or not request.subscriber.isprintable():
        raise InvalidArgument("subscriber", f"is longer than {_MAX_NAME_CHARACTERS} characters or not printable")
    delivery = request.delivery or DELIVERY_LOSSLESS
    if delivery not in (DELIVERY_LOSSLESS, DELIVERY_LATEST, DELIVERY_KEYFRAMES):
        raise InvalidArgument(
            f"delivery {delivery}", "is not known", "Use DELIVERY_LOSSLESS, DELIVERY_LATEST or DELIVERY_KEYFRAMES."
        )
    if not math.isfinite(request.max_rate) or request.max_rate < 0:
        raise InvalidArgument("max_rate", "is no number of frames a second", "Use 0 for all, or a positive number.")
    if request.max_rate and delivery != DELIVERY_KEYFRAMES:
        reason = f"does not go with {Delivery.Name(delivery)}: frames in between cannot be left out"
        raise InvalidArgument("max_rate", reason, "Use DELIVERY_KEYFRAMES, or leave max_rate out.")
    return Terms(request.subscriber, delivery, request.max_rate, request.max_pending_items, request.max_pending_bytes)


def require_same_terms(request: StreamFramesRequest, terms: Terms) -> None:
    """Later requests change the cameras only; what they repeat must be what it was. Raises InvalidArgument."""
    asked = (
        ("delivery", request.delivery, terms.delivery, DELIVERY_UNSPECIFIED),
        ("subscriber", request.subscriber, terms.name, ""),
        ("max_rate", request.max_rate, terms.max_rate, 0),
        ("max_pending_items", request.max_pending_items, terms.max_pending_items, 0),
        ("max_pending_bytes", request.max_pending_bytes, terms.max_pending_bytes, 0),
    )
    for name, value, agreed, unset in asked:
        if value not in (unset, agreed):
            raise InvalidArgument(name, "cannot change while the stream is open", "Open another stream.")


def selection_of(request: StreamFramesRequest) -> Selection:
    """Raises InvalidArgument."""
    if not request.cameras and not request.all_cameras and not request.labels:
        raise InvalidArgument("cameras", "are none", "Name cameras or labels, or set all_cameras.")
    if request.all_cameras and (request.cameras or request.labels):
        given = "cameras" if request.cameras else "labels"
        raise InvalidArgument(given, "are named although all are asked for", "Leave one of the two out.")
    for camera in request.cameras:
        validate_camera_id(camera)
    longest = max((len(text) for pair in request.labels.items() for text in pair), default=0)
    if len(request.labels) > _MAX_LABELS or longest > _MAX_LABEL_CHARACTERS or "" in request.labels:
        reason = f"are more than {_MAX_LABELS}, longer than {_MAX_LABEL_CHARACTERS} characters, or without a key"
        raise InvalidArgument("labels", reason)
    return Selection(frozenset(request.cameras), request.all_cameras, dict(request.labels), _starts(request.starts))


def _starts(starts: Iterable[CameraStart]) -> dict[str, Start]:
    checked: dict[str, Start] = {}
    for start in starts:
        validate_camera_id(start.camera)
        kind = start.WhichOneof("from")
        if kind == "after":
            after = FrameId.from_proto(start.after)
            if after.camera != start.camera or after.epoch < 0 or after.seq < 0:
                raise InvalidArgument(f"start {after}", f"is no frame of camera {start.camera!r}")
            checked[start.camera] = after
        elif kind == "received_ns":
            checked[start.camera] = start.received_ns
        else:
            checked[start.camera] = None
    return checked
