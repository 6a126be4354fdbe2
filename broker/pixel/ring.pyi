from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

VERSION: Final[int]
I420: Final[int]
NV12: Final[int]
PICTURE: Final[int]
MISSING: Final[int]
OPEN: Final[int]
SUPERSEDED: Final[int]
CLOSED: Final[int]
INEXACT: Final[int]
FULL_RANGE: Final[int]
BT709: Final[int]
DEFAULT_RECORDS: Final[int]
MAX_SLOTS: Final[int]
MAX_SIDE: Final[int]

def mapped_rings() -> int: ...
def ring_bytes(width: int, height: int, slots: int, records: int = ..., layout: int = ...) -> int: ...

class RingWriter:
    fd: int
    camera: str
    def __init__(
        self,
        camera: str,
        width: int,
        height: int,
        *,
        slots: int = 4,
        records: int = ...,
        layout: int = ...,
        generation: int = 1,
        session: int = 0,
    ) -> None: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def layout(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def head(self) -> int: ...
    def write_picture(
        self,
        y: Buffer,
        y_stride: int,
        u: Buffer,
        u_stride: int,
        v: Buffer | None,
        v_stride: int,
        *,
        epoch: int,
        seq: int,
        received_ns: int,
        monotonic_ns: int = 0,
        flags: int = 0,
        floor: int = -1,
    ) -> None: ...
    def write_missing(
        self, *, epoch: int, first_seq: int, last_seq: int, reason: int, received_ns: int = 0, floor: int = -1
    ) -> None: ...
    def set_state(self, state: int) -> None: ...
    def close(self) -> None: ...

class RingMapping:
    def __init__(self, fd: int) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    @property
    def camera(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def layout(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def records(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def session(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def head(self) -> int: ...
    @property
    def state(self) -> int: ...
    def record(self, number: int) -> tuple[int, int, int, int, int, int, int, int, int, int] | None: ...
    def is_whole(self, slot: int, sequence: int) -> bool: ...
    def monotonic_ns(self, slot: int) -> int: ...
    def planes(self, slot: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]: ...
