"""RTCP that we send: receiver reports, so that cameras which watch for them keep the stream open (RFC 3550 6.4.2).

Does not belong here: reading sender reports, which the compiled core does.
"""

from __future__ import annotations

import struct


def receiver_report(
    own_ssrc: int, camera_ssrc: int, highest_sequence: int, lost: int, last_report_middle: int, delay_s: float
) -> bytes:
    """One receiver report with one block, and the SDES packet that has to accompany it.

    `last_report_middle`: the middle 32 bits of the NTP time of the last sender report, 0 if none came;
    `delay_s`: seconds since it came. Over TCP there is no jitter worth telling, so it is given as 0.
    """
    block = struct.pack(
        "!IIIIII",
        camera_ssrc,
        min(lost, 0x7FFFFF),
        highest_sequence & 0xFFFFFFFF,
        0,
        last_report_middle & 0xFFFFFFFF,
        min(round(delay_s * 65536), 0xFFFFFFFF) if last_report_middle else 0,
    )
    report = struct.pack("!BBHI", 0x81, 201, 7, own_ssrc) + block
    cname = b"trueframe"
    item = bytes([1, len(cname)]) + cname
    item += b"\0" * (4 - len(item) % 4)
    return report + struct.pack("!BBHI", 0x81, 202, 1 + len(item) // 4, own_ssrc) + item


def interleaved(channel: int, packet: bytes) -> bytes:
    """A packet framed for the RTSP connection (RFC 2326 10.12)."""
    return struct.pack("!BBH", 0x24, channel, len(packet)) + packet
