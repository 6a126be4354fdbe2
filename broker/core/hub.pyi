"""Fan-out: every subscriber reads the cameras' rings at its own pace, and is told what it does not get."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from broker.core.cursor import Counters as Counters
from broker.core.cursor import NotDelivered as NotDelivered
from broker.core.ring import PacketRing
from trueframe.v1.frames_pb2 import EpochEnded, EpochStarted, Gap, Item

MAX_BATCH_ITEMS: int
MAX_BATCH_BYTES: int
LOSSLESS: int
LATEST: int
KEYFRAMES: int
BEHIND_NS: int

class _Id(Protocol):
    """A FrameId, of mesh.ids or of the proto."""

    @property
    def camera(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def seq(self) -> int: ...

class Subscriber:
    def __init__(
        self,
        hub: Hub,
        wake: Callable[[], object],
        delivery: int = 1,
        max_rate: float = 0.0,
        max_pending_items: int = 0,
        max_pending_bytes: int = 0,
    ) -> None: ...
    def __enter__(self) -> Subscriber: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    @property
    def cameras(self) -> list[str]: ...
    @property
    def ready(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    @property
    def delivered_items(self) -> int: ...
    @property
    def delivered_bytes(self) -> int: ...
    @property
    def delivered_batches(self) -> int: ...
    @property
    def delivery(self) -> int: ...
    @property
    def pending_bytes(self) -> int: ...
    def add(self, camera: str, start: _Id | tuple[int, int] | int | None = None) -> None: ...
    def remove(self, camera: str) -> Counters: ...
    def close(self) -> None: ...
    def take(self, max_items: int = 16, max_bytes: int = 1048576) -> bytes: ...
    def counters(self, camera: str) -> Counters: ...

class Hub:
    def __init__(
        self,
        max_bytes: int = 33554432,
        max_ns: int = 30000000000,
        max_items: int = 131072,
        budget_bytes: int = 0,
        item_cost: int = 0,
    ) -> None: ...
    @property
    def budget_bytes(self) -> int: ...
    @property
    def used_bytes(self) -> int: ...
    @property
    def cameras(self) -> list[str]: ...
    @property
    def subscribers(self) -> int: ...
    def ring(self, camera: str) -> PacketRing: ...
    def drop(self, camera: str) -> None: ...
    def subscriber(
        self,
        wake: Callable[[], object],
        delivery: int = 1,
        max_rate: float = 0.0,
        max_pending_items: int = 0,
        max_pending_bytes: int = 0,
    ) -> Subscriber: ...
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
    ) -> None: ...
    def append_item(self, camera: str, item: bytes | Item | Gap | EpochStarted | EpochEnded) -> None: ...
