"""RTCP (RFC 3550): reads sender reports and goodbyes, writes receiver reports.

What belongs here: the packets. What does not: what the broker concludes from them about the camera's clock. A camera
sends a report every few seconds, so this is plain Python; input is bounded by the packet, and malformed input is
counted, not raised.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# From 1900, where NTP counts from, to 1970.
_NTP_TO_UNIX_S = 2_208_988_800
_ERA_S = 1 << 32
_MAX_PACKETS = 64


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What a camera says of its clock: at `ntp_ns` (UTC, None if it has no wall clock) its RTP time was `rtp`."""

    ssrc: int
    ntp_ns: int | None
    rtp: int
    packets: int
    octets: int
    ntp: int
    """The 64 bits as sent, for the receiver report's `last_sender_report`."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """A source says that it ends."""

    ssrc: int


def ntp_to_utc_ns(ntp: int) -> int | None:
    """64-bit NTP time as UTC nanoseconds; None for 0, which says that there is no clock.

    Seconds below 2**31 are taken as after 2036, when the 32 bits start anew.
    """
    if ntp == 0:
        return None
    seconds, fraction = ntp >> 32, ntp & 0xFFFFFFFF
    if seconds < 1 << 31:
        seconds += _ERA_S
    return (seconds - _NTP_TO_UNIX_S) * 1_000_000_000 + (fraction * 1_000_000_000 + (1 << 31) >> 32)


class RtcpParser:
    """Reads compound packets. `malformed` counts those that were cut off or senseless; their sound part is given."""

    def __init__(self) -> None:
        self.malformed = 0

    def parse(self, data: bytes | bytearray | memoryview) -> list[SenderReport | Goodbye]:
        """Sender reports and goodbyes of one compound packet, in order; other kinds are skipped."""
        found: list[SenderReport | Goodbye] = []
        at = 0
        for _ in range(_MAX_PACKETS):
            if at == len(data):
                return found
            if len(data) - at < 4:
                break
            first, kind, words = struct.unpack_from("!BBH", data, at)
            end = at + 4 + 4 * words
            if first >> 6 != 2 or end > len(data):
                break
            count = first & 0x1F
            if kind == 200:
                if end - at < 28 + 24 * count:
                    break
                ssrc, ntp, rtp, packets, octets = struct.unpack_from("!IQIII", data, at + 4)
                found.append(SenderReport(ssrc, ntp_to_utc_ns(ntp), rtp, packets, octets, ntp))
            elif kind == 203:
                if end - at < 4 + 4 * count:
                    break
                found.extend(Goodbye(ssrc) for ssrc in struct.unpack_from(f"!{count}I", data, at + 4))
            at = end
        self.malformed += 1
        return found


def receiver_report(
    own_ssrc: int,
    source_ssrc: int,
    highest_sequence: int,
    lost_packets: int = 0,
    last_report: SenderReport | None = None,
    delay_ns: int = 0,
) -> bytes:
    """A receiver report about one source with an empty description, which keeps some cameras sending.

    `highest_sequence` is the extended sequence number; `delay_ns` the time since `last_report` came.
    """
    last = 0 if last_report is None else (last_report.ntp >> 16) & 0xFFFFFFFF
    delay = 0 if last_report is None else min(delay_ns * 65536 // 1_000_000_000, 0xFFFFFFFF)
    lost = max(-0x800000, min(lost_packets, 0x7FFFFF)) & 0xFFFFFF
    report = struct.pack(
        "!BBHIIIIIII", 0x81, 201, 7, own_ssrc, source_ssrc, lost, highest_sequence & 0xFFFFFFFF, 0, last, delay
    )
    name = b"trueframe"
    item = bytes([1, len(name)]) + name + b"\0"
    item += b"\0" * (-len(item) % 4)
    return report + struct.pack("!BBHI", 0x81, 202, 1 + len(item) // 4, own_ssrc) + item
