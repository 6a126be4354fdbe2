"""What is lost before the first packet that comes, known by the sender's word for the number of its first."""

from __future__ import annotations

import pytest

from broker.core.rtp import Depacketiser, H264Depacketiser, H265Depacketiser
from tests.unit.core import h264_stream as h264
from tests.unit.core import h265_stream as h265

SPS, PPS, IDR = h264.sps(h264.SpsFields()), h264.pps(), h264.slice_nal(idr=True)
BARE = h264.packetise([h264.slice_nal(first_mb=0)], 100, 3600)
SECOND = h264.packetise([h264.slice_nal()], 101, 7200)


def test_packets_lost_before_the_first_are_told_and_the_first_unit_is_damaged() -> None:
    depacketiser = H264Depacketiser(payload_type=96)
    depacketiser.begins_at(97)
    first, second = [unit for packet in BARE + SECOND for unit in depacketiser.feed(packet, 1)]
    assert (first.damaged, first.lost_before) == (True, True)
    assert (second.damaged, second.lost_before) == (False, False)
    assert depacketiser.lost_packets == 3


@pytest.mark.parametrize(
    ("depacketiser", "packets"),
    [
        (H264Depacketiser(payload_type=96), h264.packetise([SPS, PPS, IDR], 100, 0)),
        (H264Depacketiser(payload_type=96), h264.packetise([h264.AUD, IDR], 100, 0)),
        (
            H265Depacketiser(payload_type=97),
            h265.packetise([h265.vps(), h265.sps(), h265.pps(), h265.slice_nal(h265.IDR_W_RADL)], 100, 0),
        ),
    ],
)
def test_a_first_unit_that_proves_its_head_is_whole(depacketiser: Depacketiser, packets: list[bytes]) -> None:
    depacketiser.begins_at(99)
    units = [unit for packet in packets for unit in depacketiser.feed(packet, 1)]
    assert [(unit.damaged, unit.lost_before) for unit in units] == [(False, True)]


@pytest.mark.parametrize("said", [100, 101, 5000, 100 - 1001, -1, 1 << 16])
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_cannot_be_believed_changes_nothing(said: int, when: str) -> None:
    depacketiser = H264Depacketiser()
    packets = h264.packetise([SPS, PPS, IDR, h264.slice_nal()], 100, 0, mtu=30)
    if when == "before":
        depacketiser.begins_at(said & 0xFFFF if said < -1 else said)
    units = depacketiser.feed(packets[0], 1)
    if when == "after":
        depacketiser.begins_at(said & 0xFFFF if said < -1 else said)
    units += [unit for packet in packets[1:] for unit in depacketiser.feed(packet, 1)]
    assert [(unit.damaged, unit.lost_before) for unit in units] == [(False, False)]
    assert (depacketiser.lost_packets, depacketiser.late_packets, depacketiser.ssrc) == (0, 0, 7)


def test_numbers_wrap() -> None:
    depacketiser = H264Depacketiser()
    depacketiser.begins_at(65530)
    (unit,) = depacketiser.feed(h264.packetise([h264.slice_nal()], 4, 0)[0], 1)
    assert (unit.damaged, unit.lost_before, depacketiser.lost_packets) == (True, True, 10)


def test_the_word_may_come_while_the_first_unit_does_and_not_later() -> None:
    packets = h264.packetise([h264.slice_nal(size=200)], 100, 0, mtu=60)
    depacketiser = H264Depacketiser()
    assert depacketiser.feed(packets[0], 1) == []
    depacketiser.begins_at(98)
    (unit,) = [unit for packet in packets[1:] for unit in depacketiser.feed(packet, 1)]
    assert (unit.damaged, unit.lost_before, depacketiser.lost_packets) == (True, True, 2)
    depacketiser.begins_at(90)
    (unit,) = depacketiser.feed(h264.packetise([h264.slice_nal()], 100 + len(packets), 3600)[0], 1)
    assert (unit.damaged, unit.lost_before, depacketiser.lost_packets) == (False, False, 2)


def test_packets_that_the_first_overtook_are_waited_for() -> None:
    packets = h264.packetise([SPS, PPS, h264.slice_nal(idr=True, size=200)], 100, 0, mtu=60)
    depacketiser = H264Depacketiser(reorder_packets=64, reorder_ns=40_000_000)
    depacketiser.begins_at(100)
    order = [packets[2], packets[0], packets[1], *packets[3:]]
    (unit,) = [unit for at, packet in enumerate(order) for unit in depacketiser.feed(packet, at)]
    assert (unit.damaged, unit.lost_before) == (False, False)
    assert (depacketiser.lost_packets, depacketiser.late_packets) == (0, 0)
    # Without the word, what was overtaken is late.
    ignorant = H264Depacketiser(reorder_packets=64, reorder_ns=40_000_000)
    assert not any(unit.damaged for at, packet in enumerate(order) for unit in ignorant.feed(packet, at))
    assert ignorant.late_packets == 2


def test_packets_of_others_are_not_taken_for_the_first() -> None:
    depacketiser = H264Depacketiser(payload_type=96)
    depacketiser.begins_at(100)
    assert depacketiser.feed(h264.rtp(b"\x00" * 20, 400, 0, kind=97, ssrc=9), 1) == []
    units = [unit for packet in BARE for unit in depacketiser.feed(packet, 1)]
    assert [(unit.damaged, unit.lost_before) for unit in units] == [(False, False)]
    assert depacketiser.lost_packets == 0
