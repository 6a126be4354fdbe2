"""Sender reports, goodbyes, receiver reports."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from broker.core.rtp import Goodbye, RtcpParser, SenderReport, ntp_to_utc_ns, receiver_report

NTP_2026 = (2_208_988_800 + 1_795_000_000) << 32


def sender_report(ssrc: int, ntp: int, rtp: int, blocks: int = 0) -> bytes:
    body = struct.pack("!IQIII", ssrc, ntp, rtp, 10, 1000) + bytes(24 * blocks)
    return struct.pack("!BBH", 0x80 | blocks, 200, len(body) // 4) + body


def test_a_sender_report_tells_the_cameras_clock() -> None:
    parser = RtcpParser()
    description = struct.pack("!BBHI", 0x81, 202, 2, 9) + b"\x01\x01x\x00"
    goodbye = struct.pack("!BBHII", 0x82, 203, 2, 9, 11)
    found = parser.parse(sender_report(9, NTP_2026 | 1 << 31, 1234, blocks=2) + description + goodbye)
    assert found == [
        SenderReport(9, 1_795_000_000_500_000_000, 1234, 10, 1000, NTP_2026 | 1 << 31),
        Goodbye(9),
        Goodbye(11),
    ]
    assert parser.malformed == 0


def test_a_camera_without_a_clock_gives_none() -> None:
    [report] = RtcpParser().parse(sender_report(9, 0, 1))
    assert isinstance(report, SenderReport)
    assert report.ntp_ns is None


def test_ntp_time_goes_on_after_2036() -> None:
    assert ntp_to_utc_ns(0xFFFFFFFF_00000000) == 2_085_978_495 * 10**9
    assert ntp_to_utc_ns(1 << 32) == 2_085_978_497 * 10**9


def test_malformed_reports_are_counted_and_their_sound_part_is_given() -> None:
    parser = RtcpParser()
    whole = sender_report(9, NTP_2026, 5)
    assert len(parser.parse(whole + whole[:10])) == 1
    assert parser.parse(b"\x80") == []
    assert parser.parse(struct.pack("!BBH", 0x80, 200, 1) + bytes(4)) == []
    assert parser.parse(struct.pack("!BBHI", 0x9F, 203, 1, 4)) == []
    assert parser.parse(struct.pack("!BBH", 0x40, 200, 0)) == []
    assert parser.parse(struct.pack("!BBH", 0x80, 201, 0) * 65) == []
    assert parser.malformed == 6


@given(st.binary(max_size=200))
def test_no_report_raises(data: bytes) -> None:
    RtcpParser().parse(data)


def test_a_receiver_report_can_be_read_back() -> None:
    [last] = RtcpParser().parse(sender_report(9, NTP_2026, 5))
    assert isinstance(last, SenderReport)
    packet = receiver_report(1, 9, 70000, lost_packets=3, last_report=last, delay_ns=1_500_000_000)
    assert len(packet) % 4 == 0
    fields = struct.unpack_from("!BBHIIIIIII", packet)
    assert fields == (0x81, 201, 7, 1, 9, 3, 70000, 0, (NTP_2026 >> 16) & 0xFFFFFFFF, 98304)
    parser = RtcpParser()
    assert parser.parse(packet) == []
    assert parser.malformed == 0
