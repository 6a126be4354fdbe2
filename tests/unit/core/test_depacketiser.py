"""What all codecs have in common: header extensions, packets that overtake others, and what is known at the end."""

from __future__ import annotations

import itertools
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.codecs import depacketiser_for
from broker.core.depacketiser import Depacketiser
from broker.core.rtcp import ntp_to_utc_ns
from broker.core.rtp import H264Depacketiser, Unit
from tests.unit.core.h264_stream import annexb, packetise, rtp, slice_nal
from trueframe.v1.frames_pb2 import CODEC_H264, CODEC_H265, CODEC_MJPEG

MS = 1_000_000


def push(depacketiser: Depacketiser, packets: list[bytes], at: int = 0) -> list[Unit]:
    return [unit for i, packet in enumerate(packets) for unit in depacketiser.feed(packet, at + i)]


def rest(depacketiser: Depacketiser) -> list[Unit]:
    units = []
    while (unit := depacketiser.flush()) is not None:
        units.append(unit)
    return units


def with_extension(packet: bytes, profile: int, data: bytes) -> bytes:
    """The packet with one header extension; `data` is whole words."""
    return bytes([packet[0] | 0x10]) + packet[1:12] + struct.pack("!HH", profile, len(data) // 4) + data + packet[12:]


def picture(number: int) -> bytes:
    return slice_nal(size=30) + number.to_bytes(2, "big") + b"\x80"


# ---- the base --------------------------------------------------------------------------------------------------------


def test_the_base_is_not_for_use_by_itself() -> None:
    with pytest.raises(TypeError, match="depacketiser_for"):
        Depacketiser()


@pytest.mark.parametrize(("packets", "ns"), [(-1, 0), (5000, 0), (4, -1)])
def test_a_window_without_sense_is_refused(packets: int, ns: int) -> None:
    with pytest.raises(ValueError, match="reorder_packets"):
        H264Depacketiser(reorder_packets=packets, reorder_ns=ns)


# ---- the ONVIF header extension --------------------------------------------------------------------------------------


@given(ntp=st.integers(1, 2**64 - 1), flags=st.integers(0, 255), counter=st.integers(0, 255))
def test_the_camera_time_in_the_header_extension_is_the_units(ntp: int, flags: int, counter: int) -> None:
    extension = struct.pack("!QBBH", ntp, flags, counter, 0)
    packet = with_extension(rtp(slice_nal(), 0, 0, marker=True), 0xABAC, extension)
    [unit] = H264Depacketiser().feed(packet, 0)
    assert unit.extension_ntp_ns == ntp_to_utc_ns(ntp)
    assert unit.extension_flags == flags & 0xF0
    assert unit.payload == annexb([slice_nal()])


@pytest.mark.parametrize(
    ("profile", "data"),
    [
        (0xBEDE, struct.pack("!QBBH", 1 << 63, 0x80, 0, 0)),
        (0xABAC, struct.pack("!Q", 1 << 63)),
        (0xABAC, b""),
        (0xABAC, struct.pack("!QBBH", 0, 0, 0, 0)),
    ],
)
def test_other_extensions_tell_no_time(profile: int, data: bytes) -> None:
    [unit] = H264Depacketiser().feed(with_extension(rtp(slice_nal(), 0, 0, marker=True), profile, data), 0)
    assert unit.extension_ntp_ns is None
    assert unit.extension_flags == 0


def test_the_camera_time_of_one_unit_is_not_that_of_the_next() -> None:
    extension = struct.pack("!QBBH", 5 << 60, 0x80, 0, 0)
    first, second = packetise([slice_nal(size=200)], 0, 0, mtu=150), packetise([slice_nal(size=200)], 2, 3000, mtu=150)
    units = push(H264Depacketiser(), [with_extension(first[0], 0xABAC, extension), first[1], *second])
    assert [unit.extension_ntp_ns for unit in units] == [ntp_to_utc_ns(5 << 60), None]
    assert [unit.extension_flags for unit in units] == [0x80, 0]


# ---- packets that overtake others ------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", [CODEC_H264, CODEC_H265, CODEC_MJPEG])
def test_every_codec_puts_packets_back_into_order(codec: int) -> None:
    depacketiser = depacketiser_for(codec, reorder_packets=4)
    jpeg = b"\0\0\0\0\x01\x32\x08\x08" + b"scan"
    payload = {CODEC_H264: slice_nal(), CODEC_H265: b"\x02\x01" + slice_nal(), CODEC_MJPEG: jpeg}[codec]
    packets = [rtp(payload, i, i * 3000, marker=True) for i in range(4)]
    units = push(depacketiser, [packets[0], packets[2], packets[3], packets[1]])
    assert [unit.rtp_timestamp for unit in units] == [0, 3000, 6000, 9000]
    assert not any(unit.damaged or unit.lost_before for unit in units)
    assert depacketiser.reordered_packets == 1
    assert depacketiser.held_packets == 0


@given(
    count=st.integers(1, 60),
    window=st.integers(1, 12),
    start=st.sampled_from([0, 65500, 32760]),
    seed=st.integers(0, 2**32),
    twice=st.sets(st.integers(0, 60), max_size=10),
)
def test_packets_that_overtake_others_within_the_window_change_nothing(
    count: int, window: int, start: int, seed: int, twice: set[int]
) -> None:
    rng = random.Random(seed)
    packets: list[bytes] = []
    for number in range(count):
        packets += packetise([picture(number)], start + len(packets), number * 3000, mtu=20)
    # Each packet is late by fewer than `window` packets; the very first is not, for nobody would know of it.
    order = sorted(range(len(packets)), key=lambda i: (i > 0, i + rng.uniform(0, window * 0.9)))
    sent = [i for place, i in enumerate(order) for _ in range(2 if place in twice else 1)]
    depacketiser = H264Depacketiser(reorder_packets=window)
    units = push(depacketiser, [packets[i] for i in sent])
    assert [unit.payload for unit in units] == [annexb([picture(number)]) for number in range(count)]
    assert not any(unit.damaged or unit.lost_before for unit in units)
    assert depacketiser.lost_packets == depacketiser.late_packets == 0
    assert depacketiser.duplicate_packets == len(sent) - len(packets)
    assert depacketiser.reordered_packets == sum(i < max(order[:place], default=-1) for place, i in enumerate(order))
    assert depacketiser.deadline_ns is None
    times = [unit.monotonic_ns for unit in units]
    assert times == sorted(times)
    assert rest(depacketiser) == []


@given(
    arrivals=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 30 * MS)), max_size=80),
    window=st.integers(0, 6),
    wait_ms=st.integers(0, 40),
    marker=st.booleans(),
)
def test_whatever_is_lost_late_or_twice_is_told(
    arrivals: list[tuple[int, int]], window: int, wait_ms: int, marker: bool
) -> None:
    """A sender of units of three packets; which arrive when is arbitrary."""
    packets: list[bytes] = []
    for number in range(14):
        packets += packetise([picture(number)], len(packets), number * 3000, mtu=15, marker=marker)
    per_unit = 3
    assert len(packets) == 14 * per_unit
    depacketiser = H264Depacketiser(reorder_packets=window, reorder_ns=wait_ms * MS)
    now, got = 0, []
    for which, step in arrivals:
        now += step
        if depacketiser.deadline_ns is not None and depacketiser.deadline_ns <= now:
            got += depacketiser.expire(depacketiser.deadline_ns)
        got += depacketiser.feed(packets[which], now)
        assert depacketiser.held_packets <= window
        assert (depacketiser.deadline_ns is None) == (depacketiser.held_packets == 0 or wait_ms == 0)
    got += rest(depacketiser)
    assert depacketiser.held_packets == 0
    came = {which for which, _ in arrivals}
    for unit in got:
        number = unit.rtp_timestamp // 3000
        if not unit.damaged:
            assert unit.payload == annexb([picture(number)])
            assert came >= set(range(number * per_unit, (number + 1) * per_unit))
        assert unit.monotonic_ns <= now
    times = [unit.monotonic_ns for unit in got]
    assert times == sorted(times)
    total = depacketiser.packets + depacketiser.late_packets + depacketiser.duplicate_packets
    assert total + depacketiser.malformed_packets == len(arrivals)
    # Between units that are not neighbours something was lost, and the later one says so.
    for before, unit in itertools.pairwise(got):
        if unit.rtp_timestamp > before.rtp_timestamp + 3000:
            assert unit.lost_before


def test_a_packet_that_never_comes_is_given_up_when_its_time_is_over() -> None:
    depacketiser = H264Depacketiser(reorder_packets=8, reorder_ns=50 * MS)
    packets = [rtp(slice_nal(), i, i * 3000, marker=True) for i in range(6)]
    assert len(depacketiser.feed(packets[0], 0)) == 1
    assert depacketiser.feed(packets[2], 10 * MS) == []
    assert depacketiser.feed(packets[4], 30 * MS) == []
    assert depacketiser.deadline_ns == 60 * MS
    assert depacketiser.expire(60 * MS - 1) == []
    [unit] = depacketiser.expire(60 * MS)
    assert (unit.rtp_timestamp, unit.lost_before, unit.monotonic_ns) == (6000, True, 10 * MS)
    # The next hole has waited from when the first packet behind it came.
    assert depacketiser.deadline_ns == 80 * MS
    units = depacketiser.feed(packets[5], 90 * MS)
    assert [unit.rtp_timestamp for unit in units] == [12000, 15000]
    assert [unit.lost_before for unit in units] == [True, False]
    assert depacketiser.lost_packets == 2
    assert depacketiser.deadline_ns is None
    assert depacketiser.feed(packets[1], 91 * MS) == []
    assert depacketiser.late_packets == 1


def test_too_many_waiting_packets_give_up_the_first_hole() -> None:
    depacketiser = H264Depacketiser(reorder_packets=3)
    packets = [rtp(slice_nal(), i, i * 3000, marker=True) for i in range(8)]
    assert len(push(depacketiser, [packets[0], packets[2], packets[3], packets[5]])) == 1
    assert depacketiser.held_packets == 3
    assert depacketiser.deadline_ns is None
    units = depacketiser.feed(packets[7], 0)
    assert [unit.rtp_timestamp for unit in units] == [6000, 9000]
    assert depacketiser.held_packets == 2


def test_few_huge_waiting_packets_are_too_many() -> None:
    depacketiser = H264Depacketiser(reorder_packets=4096)
    huge = slice_nal(size=65000)
    depacketiser.feed(rtp(huge, 0, 0, marker=True), 0)
    push(depacketiser, [rtp(huge, i, i * 3000, marker=True) for i in range(2, 400)])
    assert depacketiser.lost_packets == 1
    assert depacketiser.held_packets == 0


def test_packets_that_wait_at_the_end_are_given_out_one_by_one() -> None:
    depacketiser = H264Depacketiser(reorder_packets=8)
    packets = [rtp(slice_nal(), i, i * 3000, marker=i != 5) for i in range(6)]
    push(depacketiser, [packets[0], *packets[2:]])
    units = rest(depacketiser)
    assert [unit.rtp_timestamp for unit in units] == [6000, 9000, 12000, 15000]
    assert [unit.damaged for unit in units] == [True, False, False, True]
    assert depacketiser.flush() is None


def test_another_source_ends_the_wait_for_packets_of_the_first() -> None:
    depacketiser = H264Depacketiser(reorder_packets=8)
    own = [rtp(slice_nal(), i, i * 3000, marker=True) for i in range(4)]
    other = rtp(slice_nal(), 7000, 5, marker=True, ssrc=99)
    units = push(depacketiser, [own[0], own[2], other])
    assert [unit.rtp_timestamp for unit in units] == [0, 6000, 5]
    assert [unit.lost_before for unit in units] == [False, True, True]


def test_a_sender_that_starts_anew_while_packets_wait_is_followed() -> None:
    depacketiser = H264Depacketiser(reorder_packets=8, reorder_ns=1000)
    push(depacketiser, [rtp(slice_nal(), 40000 + i, i * 3000, marker=True) for i in (0, 1, 3)])
    units = push(depacketiser, [rtp(slice_nal(), 20000 + i, 900000 + i * 3000, marker=True) for i in range(20)])
    assert len(units) >= 18
    assert not any(unit.damaged for unit in units[1:])
    assert depacketiser.held_packets == 0


def test_pictures_out_of_the_order_of_their_times_do_not_look_like_a_new_start() -> None:
    # B-frames: two late packets in a row, whose timestamps are newer than that of the unit in progress.
    depacketiser = H264Depacketiser(reorder_packets=1)
    times = [0, 9000, 3000, 6000, 18000, 12000]
    packets = [rtp(slice_nal(first_mb=i % 2), i, times[i // 2], marker=i % 2 == 1) for i in range(12)]
    push(depacketiser, [packets[i] for i in (0, 1, 4, 5, 6, 2, 3, 7, 8, 9, 10, 11)])
    assert depacketiser.next_sequence == 12
    assert depacketiser.late_packets == 2


def test_time_never_goes_back_even_if_the_clock_seems_to() -> None:
    depacketiser = H264Depacketiser()
    units = [u for i, at in enumerate([50, 40, 60]) for u in depacketiser.feed(rtp(slice_nal(), i, i, marker=True), at)]
    assert [unit.monotonic_ns for unit in units] == [50, 50, 60]
