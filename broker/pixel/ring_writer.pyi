from typing_extensions import Buffer

from broker.pixel.pins import PinRow

class RingWriter:
    fd: int
    camera: str
    broken_pins: int
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
        hold_ns: int = ...,
    ) -> None: ...
    def attach(self, row: PinRow) -> None: ...
    def detach(self, row: PinRow) -> None: ...
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
        now_ns: int = 0,
    ) -> bool: ...
    def write_missing(
        self, *, epoch: int, first_seq: int, last_seq: int, reason: int, received_ns: int = 0, floor: int = -1
    ) -> bool: ...
    def set_state(self, state: int) -> bool: ...
    def close(self) -> None: ...
