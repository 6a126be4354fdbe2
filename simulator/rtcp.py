"""RTCP as a camera sends it: a sender report and its canonical name.

What belongs here: the bytes of RFC 3550. What does not: when they are sent.
"""

from __future__ import annotations

import struct

_NTP_OFFSET_S = 2_208_988_800  # 1900 to 1970
_CNAME = b"trueframe-simulator"


def ntp(utc_ns: int) -> int:
    """UTC nanoseconds as a 64-bit NTP timestamp."""
    seconds, rest = divmod(utc_ns, 1_000_000_000)
    return seconds + _NTP_OFFSET_S << 32 | (rest << 32) // 1_000_000_000


def sender_report(ssrc: int, utc_ns: int, rtp_timestamp: int, packets: int, octets: int) -> bytes:
    """A compound packet of sender report and source description."""
    report = struct.pack(
        ">BBHIQIII", 0x80, 200, 6, ssrc, ntp(utc_ns), rtp_timestamp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF
    )
    item = bytes([1, len(_CNAME)]) + _CNAME
    item += bytes(4 - len(item) % 4)  # at least one null octet ends the list
    return report + struct.pack(">BBHI", 0x81, 202, 1 + len(item) // 4, ssrc) + item
