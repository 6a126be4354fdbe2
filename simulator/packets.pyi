"""Types of the compiled packets."""

from collections.abc import Iterable

class UnitPackets:
    """The packets of one access unit with room for a stamp (number and send time) that every sending fills in."""

    count: int
    payload_bytes: int
    offsets: tuple[int, ...]
    extension: bool
    def __init__(
        self,
        payloads: Iterable[bytes],
        whole: bytes,
        stamp_text: bytes,
        payload_type: int = 96,
        marker: bool = True,
        extension: bool = False,
        flags: int = 0,
    ) -> None: ...
    def stamped(
        self,
        number: int,
        sent_ns: int,
        sequence: int,
        rtp_timestamp: int,
        ssrc: int,
        channel: int,
        ntp: int = 0,
    ) -> bytes: ...
    def canonical(self, number: int, sent_ns: int) -> bytes: ...
    def digest(self, number: int, sent_ns: int) -> bytes: ...
