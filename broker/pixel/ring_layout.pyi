from typing import Final

VERSION: Final[int]
MAGIC: Final[bytes]
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
HOLD_NS: Final[int]
SIZE_SEALS: Final[int]
SEALS: Final[int]

def mapped_rings() -> int: ...
def ring_bytes(width: int, height: int, slots: int, records: int = ..., layout: int = ...) -> int: ...
