"""Types of the compiled packetiser."""

from collections.abc import Iterable

class UnitPackets:
    """The packets of one access unit with room for a stamp (number and send time) that every sending fills in."""

    count: int
    payload_bytes: int
    offsets: tuple[int, ...]
    def __init__(self, nals: Iterable[bytes], stamp_text: bytes, mtu: int = 1400, aggregate: bool = False) -> None: ...
    def stamped(
        self, number: int, sent_ns: int, sequence: int, rtp_timestamp: int, ssrc: int, channel: int
    ) -> bytes: ...
    def canonical(self, number: int, sent_ns: int) -> bytes: ...
    def digest(self, number: int, sent_ns: int) -> bytes: ...
