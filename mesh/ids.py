"""Names of things: frames, cameras, events. Values only; who mints them is decided elsewhere."""

from __future__ import annotations

import re
import secrets
import threading
import time
from dataclasses import dataclass

from mesh.errors import InvalidArgument
from trueframe.v1 import frames_pb2

_CAMERA_ID = re.compile(r"[a-z0-9-]{1,63}")
CAMERA_ID_RULE = "is not 1 to 63 characters out of a-z, 0-9 and '-'"
# What cannot be beyond 63 bits: nearly all. The rest is looked at part by part, for its error.
_FRAME_ID = re.compile(r"([a-z0-9-]{1,63})/([0-9]{1,18})/([0-9]{1,18})")
_INT64_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True, order=True)
class FrameId:
    """Identity of one frame. Orders by camera, then epoch, then seq: within a camera that is decode order."""

    camera: str
    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.camera}/{self.epoch}/{self.seq}"

    @classmethod
    def parse(cls, text: str) -> FrameId:
        """The inverse of `str`. Raises InvalidArgument."""
        if found := _FRAME_ID.fullmatch(text):
            return cls(found[1], int(found[2]), int(found[3]))
        parts = text.split("/")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts[1:]):
            raise InvalidArgument(f"frame id {text[:120]!r}", "is not of the form camera/epoch/seq")
        epoch, seq = (int(part) if len(part) <= 19 else _INT64_MAX + 1 for part in parts[1:])
        if max(epoch, seq) > _INT64_MAX:
            raise InvalidArgument(f"frame id {text[:120]!r}", "has a number beyond 63 bits")
        return cls(validate_camera_id(parts[0]), epoch, seq)

    @classmethod
    def from_proto(cls, message: frames_pb2.FrameId) -> FrameId:
        """From the wire. Values are taken as they are; `validate_camera_id` is the caller's."""
        return cls(message.camera, message.epoch, message.seq)

    def to_proto(self) -> frames_pb2.FrameId:
        """For the wire."""
        return frames_pb2.FrameId(camera=self.camera, epoch=self.epoch, seq=self.seq)


def validate_camera_id(text: str) -> str:
    """Returns the id if it is a slug `[a-z0-9-]{1,63}`; raises InvalidArgument otherwise."""
    if not is_camera_id(text):
        raise InvalidArgument(f"camera id {text[:80]!r}", CAMERA_ID_RULE, "Put any other text into the display name.")
    return text


def is_camera_id(text: str) -> bool:
    """Whether the text is a slug `[a-z0-9-]{1,63}`."""
    return _CAMERA_ID.fullmatch(text) is not None


_event_lock = threading.Lock()
_last_event_time_us = 0


def new_event_id() -> str:
    """A unique id of 26 characters that sorts by time of creation; inside one process, strictly so."""
    global _last_event_time_us
    with _event_lock:
        now_us = max(time.time_ns() // 1000, _last_event_time_us + 1)
        _last_event_time_us = now_us
    # 14 hexadecimal digits of microseconds last until the year 4253.
    return f"{now_us:014x}{secrets.token_hex(6)}"
