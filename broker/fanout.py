"""The interface of the fan-out: all that the rest of the broker asks of the compiled hub. No code.

`broker.core.hub` is the implementation. Another one, say a server on libgrpc++ that keeps rings and connections in C++,
has to offer what stands here and nothing more; docs/design/0011-fanout.md says what it must promise. Ingest uses `Hub`
to append, `subscriptions` uses `Subscriber` to read, load and metrics read counters. What does not belong here: names
that only one of them needs for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from mesh.ids import FrameId
from trueframe.v1.frames_pb2 import EpochEnded, EpochStarted, Gap, Item


class NotDelivered(Protocol):
    """Frames that a subscriber did not get for one reason."""

    @property
    def count(self) -> int:
        """Minted frames; the only figure that is part of the identity."""

    @property
    def unknown_gaps(self) -> int:
        """Gaps told whose number of frames nobody knows."""

    @property
    def unminted(self) -> int:
        """Frames that got no id, as far as gaps told their number."""


class Counters(Protocol):
    """One camera of one subscriber, since its first id: captured = delivered + sum(not_delivered) + pending."""

    @property
    def captured(self) -> int:
        """Frames minted."""

    @property
    def delivered(self) -> int:
        """Frames handed out."""

    @property
    def pending(self) -> int:
        """Frames in the ring, still ahead of the reader."""

    @property
    def not_delivered(self) -> Mapping[int, NotDelivered]:
        """The rest, by GapReason."""


class Ring(Protocol):
    """What is held of one camera."""

    @property
    def first_id(self) -> tuple[int, int] | None:
        """(epoch, seq) of the oldest frame held."""

    @property
    def last_id(self) -> tuple[int, int] | None:
        """(epoch, seq) of the newest frame that came."""


class Subscriber(Protocol):
    """One reader of any number of cameras."""

    @property
    def delivery(self) -> int:
        """As trueframe.v1.Delivery numbers it."""

    @property
    def cameras(self) -> list[str]:
        """Those it reads."""

    @property
    def ready(self) -> bool:
        """Whether something waits."""

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait for it in the rings."""

    @property
    def delivered_items(self) -> int:
        """Items handed out: frames, gaps, begins and ends of epochs."""

    @property
    def delivered_bytes(self) -> int:
        """Bytes handed out."""

    @property
    def delivered_batches(self) -> int:
        """Batches handed out."""

    def add(self, camera: str, start: FrameId | int | None = None) -> None:
        """Begins to read a camera; KeyError if it has no ring."""

    def remove(self, camera: str) -> Counters:
        """Stops reading a camera."""

    def take(self, max_items: int = 16, max_bytes: int = 1 << 20) -> bytes:
        """The next items of all cameras as one encoded FrameBatch; b"" if there are none."""

    def counters(self, camera: str) -> Counters:
        """Those of one camera."""

    def close(self) -> None:
        """Stops reading everything."""


class Hub(Protocol):
    """The rings of all cameras, and whom they feed. One thread calls it."""

    @property
    def used_bytes(self) -> int:
        """Bytes that all rings hold."""

    @property
    def budget_bytes(self) -> int:
        """Bytes that they may hold together; 0 is no limit."""

    def ring(self, camera: str) -> Ring:
        """The ring of a camera, made if there is none."""

    def drop(self, camera: str) -> None:
        """Forgets a camera; who reads it may read on to its end."""

    def subscriber(
        self,
        wake: Callable[[], object],
        delivery: int = 1,
        max_rate: float = 0.0,
        max_pending_items: int = 0,
        max_pending_bytes: int = 0,
    ) -> Subscriber:
        """A new reader. `wake` is called, by whoever appends, when items come and there were none."""

    def append_frame(
        self,
        camera: str,
        epoch: int,
        seq: int,
        received_ns: int,
        monotonic_ns: int,
        join_point: int,
        damaged: bool,
        item: bytes,
    ) -> None:
        """Gives a frame, encoded once, to all who read its camera."""

    def append_item(self, camera: str, item: bytes | Item | Gap | EpochStarted | EpochEnded) -> None:
        """Gives a gap, or the begin or end of an epoch, to all who read its camera."""
