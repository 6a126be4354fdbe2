"""Units out of RTP packets, with every loss marked."""

from __future__ import annotations

import gc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.core.rtp import H264Depacketiser, TimestampUnwrapper, Unit
from tests.unit.core.h264_stream import AUD, SpsFields, annexb, packetise, pps, rtp, slice_nal, sps

SPS = sps(SpsFields())
PPS = pps()


def push(depacketiser: H264Depacketiser, packets: list[bytes], at: int = 0) -> list[Unit]:
    return [unit for i, packet in enumerate(packets) for unit in depacketiser.feed(packet, at + i)]


def picture(number: int, size: int = 100) -> list[bytes]:
    """NALs of a unit whose bytes tell its number."""
    head = [AUD, SPS, PPS] if number % 5 == 0 else [AUD]
    return [*head, slice_nal(idr=number % 5 == 0, size=0) + number.to_bytes(2, "big") * (size // 2) + b"\x80"]


units_strategy = st.lists(st.tuples(st.integers(2, 4000), st.integers(1, 3), st.booleans()), min_size=1, max_size=12)


@given(shape=units_strategy, mtu=st.integers(20, 1500), start=st.integers(0, 65535), marker=st.booleans())
def test_units_come_out_as_they_went_in(shape: list[tuple[int, int, bool]], mtu: int, start: int, marker: bool) -> None:
    depacketiser = H264Depacketiser()
    sequence = start
    sent: list[bytes] = []
    got: list[Unit] = []
    for number, (size, slices, aggregate) in enumerate(shape):
        nals = [AUD, *[slice_nal(first_mb=i, size=size) for i in range(slices)]]
        packets = packetise(nals, sequence, number * 3000, mtu=mtu, aggregate=aggregate, marker=marker)
        sequence += len(packets)
        sent.append(annexb(nals))
        got += push(depacketiser, packets)
    if not marker:
        last = depacketiser.flush()
        assert last is not None
        assert last.damaged
        got.append(last)
    assert [unit.payload for unit in got] == sent
    assert not any(unit.damaged or unit.lost_before for unit in got[: len(sent) - (not marker)])
    assert [unit.rtp_timestamp for unit in got] == [3000 * i for i in range(len(sent))]
    assert sum(unit.packets for unit in got) == sequence - start == depacketiser.packets
    assert depacketiser.lost_packets == 0
    assert depacketiser.flush() is None


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.integers(2, 300), min_size=2, max_size=20),
    lost=st.sets(st.integers(0, 200), max_size=20),
    marker=st.booleans(),
    start=st.sampled_from([0, 65500]),
)
def test_every_unit_that_is_not_marked_is_whole_and_every_loss_is_told(
    sizes: list[int], lost: set[int], marker: bool, start: int
) -> None:
    depacketiser = H264Depacketiser()
    sequence = 0
    sent: dict[int, bytes] = {}
    hit: set[int] = set()
    got: list[Unit] = []
    for number, size in enumerate(sizes):
        nals = picture(number, size)
        packets = packetise(nals, start + sequence, number * 3000, mtu=60, marker=marker)
        sent[number * 3000] = annexb(nals)
        for packet in packets:
            # The very first packet cannot be missed: nobody knows of it.
            if sequence in lost and sequence > 0:
                hit.add(number * 3000)
            else:
                got += depacketiser.feed(packet, sequence)
            sequence += 1
    last = depacketiser.flush()
    if last is not None:
        got.append(last)

    for unit in got:
        if not unit.damaged:
            assert unit.payload == sent[unit.rtp_timestamp]
            assert unit.rtp_timestamp not in hit
    # A unit that never came out is told by the next that does.
    came = [unit.rtp_timestamp for unit in got]
    assert came == sorted(set(came))
    for before, unit in zip([-3000, *came], got, strict=False):
        if unit.rtp_timestamp != before + 3000:
            assert unit.lost_before


def test_a_unit_hit_by_loss_is_marked_damaged() -> None:
    depacketiser = H264Depacketiser()
    packets = packetise(picture(1, 600), 10, 0, mtu=100)
    assert len(packets) > 4
    [unit] = push(depacketiser, packets[:2] + packets[3:])
    assert unit.damaged
    assert not unit.lost_before
    assert depacketiser.lost_packets == 1
    # What came before the hole is kept; nothing from behind it is glued to it.
    assert annexb(picture(1, 600)).startswith(unit.payload)


def test_a_loss_between_units_marks_the_next_unit() -> None:
    depacketiser = H264Depacketiser()
    first = packetise([slice_nal()], 10, 0)
    third = packetise([slice_nal()], 10 + len(first) + 4, 6000)
    fourth = packetise([slice_nal()], 10 + len(first) + 4 + len(third), 9000)
    units = push(depacketiser, first + third + fourth)
    assert [(unit.damaged, unit.lost_before) for unit in units] == [(False, False), (True, True), (False, False)]
    assert depacketiser.lost_packets == 4


def test_a_lost_marker_damages_both_neighbours() -> None:
    depacketiser = H264Depacketiser()
    first = packetise(picture(1, 300), 10, 0, mtu=100)
    second = packetise([slice_nal()], 10 + len(first), 3000)
    units = push(depacketiser, first[:-1] + second)
    assert [(unit.damaged, unit.lost_before) for unit in units] == [(True, False), (True, True)]


def test_a_unit_of_which_nothing_usable_came_is_told_by_the_next() -> None:
    depacketiser = H264Depacketiser()
    first = packetise(picture(1), 0, 0)
    second = packetise([slice_nal(size=300)], len(first), 3000, mtu=100)
    third = packetise(picture(3), len(first) + len(second), 6000)
    units = push(depacketiser, first + second[-1:] + third)
    assert [(unit.damaged, unit.lost_before) for unit in units] == [(False, False), (False, True)]


def test_the_time_of_a_unit_is_that_of_its_own_last_packet() -> None:
    depacketiser = H264Depacketiser()
    first = packetise(picture(1), 0, 0, marker=False)
    for i, packet in enumerate(first):
        assert depacketiser.feed(packet, 100 + i) == []
    [unit] = depacketiser.feed(packetise(picture(2), len(first), 3000)[0], 999)
    assert unit.monotonic_ns == 100 + len(first) - 1
    assert not unit.marker


def test_parameter_sets_sent_apart_become_the_head_of_the_next_picture() -> None:
    depacketiser = H264Depacketiser()
    units = push(
        depacketiser,
        [
            rtp(SPS, 0, 1000, marker=True),
            rtp(PPS, 1, 1000, marker=True),
            rtp(slice_nal(idr=True), 2, 3000, marker=True),
        ],
    )
    assert [unit.payload for unit in units] == [annexb([SPS, PPS, slice_nal(idr=True)])]
    assert not units[0].damaged
    assert units[0].packets == 3


def test_sequence_numbers_wrap_without_a_loss() -> None:
    depacketiser = H264Depacketiser()
    units = push(depacketiser, [rtp(slice_nal(), 65530 + i, i, marker=True) for i in range(20)])
    assert len(units) == 20
    assert not any(unit.damaged for unit in units)
    assert depacketiser.next_sequence == (65530 + 20) & 0xFFFF


def test_packets_that_come_twice_or_late_are_dropped_and_counted() -> None:
    depacketiser = H264Depacketiser()
    packets = [rtp(slice_nal(first_mb=i % 3), i, 100 * (i // 3), marker=i % 3 == 2) for i in range(9)]
    units = push(depacketiser, [*packets[:3], packets[2], packets[0], *packets[3:]])
    assert len(units) == 3
    assert not any(unit.damaged for unit in units)
    assert (depacketiser.late_packets, depacketiser.duplicate_packets) == (0, 2)


@pytest.mark.parametrize("back", [1, 20, 5000])
def test_a_sender_that_starts_anew_is_followed_as_a_loss(back: int) -> None:
    depacketiser = H264Depacketiser()
    push(depacketiser, [rtp(slice_nal(), 10000 + i, i * 3000, marker=True) for i in range(5)])
    begin = 10005 - back
    units = push(depacketiser, [rtp(slice_nal(), begin + i, 900000 + i * 3000, marker=True) for i in range(50)])
    assert len(units) >= 48
    assert units[0].lost_before or back == 1
    assert not any(unit.damaged for unit in units[1:])


def test_a_sender_that_starts_anew_in_every_respect_is_followed_in_the_end() -> None:
    depacketiser = H264Depacketiser()
    push(depacketiser, [rtp(slice_nal(), 60000 + i, 5_000_000 + i, marker=True) for i in range(5)])
    units = push(depacketiser, [rtp(slice_nal(), 59000 + i * 3, i, marker=True) for i in range(300)])
    assert units


def test_another_source_is_ignored_if_one_was_named_and_followed_otherwise() -> None:
    strangers = [rtp(slice_nal(), 700 + i, i, marker=True, ssrc=8) for i in range(3)]
    own = [rtp(slice_nal(), i, i, marker=True, ssrc=7) for i in range(3)]
    fixed = H264Depacketiser(ssrc=7)
    assert len(push(fixed, own + strangers)) == 3
    assert fixed.foreign_packets == 3
    following = H264Depacketiser()
    units = push(following, own + strangers)
    assert [unit.lost_before for unit in units] == [False, False, False, True, False, False]
    assert following.ssrc == 8
    assert following.ssrc_changes == 1


def test_another_payload_type_is_ignored_but_its_sequence_numbers_count() -> None:
    depacketiser = H264Depacketiser(payload_type=96)
    units = push(
        depacketiser,
        [rtp(slice_nal(), 0, 0, marker=True), rtp(b"audio", 1, 5, kind=0), rtp(slice_nal(), 2, 9, marker=True)],
    )
    assert [unit.damaged for unit in units] == [False, False]
    assert depacketiser.foreign_packets == 1


def test_csrc_extension_and_padding_are_stepped_over() -> None:
    nal = slice_nal()
    packet = bytearray(rtp(b"", 5, 9, marker=True))
    packet[0] |= 0x32
    body = bytes(8) + b"\xbe\xde\x00\x02" + b"extensio" + nal + b"\x00\x00\x03"
    packet[0] |= 0x20
    [unit] = H264Depacketiser().feed(bytes(packet) + body, 0)
    assert unit.payload == annexb([nal])
    assert not unit.damaged


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x80",
        rtp(b"", 0, 0)[:11],
        b"\x40" + rtp(slice_nal(), 0, 0)[1:],
        b"\x8f" + rtp(b"", 0, 0)[1:],
        b"\x90" + rtp(b"\xbe\xde", 0, 0)[1:],
        b"\x90" + rtp(b"\xbe\xde\xff\xff", 0, 0)[1:],
        b"\xa0" + rtp(b"abc\x00", 0, 0)[1:],
        b"\xa0" + rtp(b"abc\x05", 0, 0)[1:],
    ],
)
def test_headers_that_cannot_be_are_counted(packet: bytes) -> None:
    depacketiser = H264Depacketiser()
    assert depacketiser.feed(packet, 0) == []
    assert depacketiser.malformed_packets == 1


def test_packets_that_all_come_twice_disturb_nothing() -> None:
    depacketiser = H264Depacketiser()
    packets = [rtp(slice_nal(), i, i * 3000, marker=True) for i in range(400)]
    units = push(depacketiser, [packet for pair in zip(packets, packets, strict=True) for packet in pair])
    assert len(units) == 400
    assert not any(unit.damaged for unit in units)
    assert depacketiser.duplicate_packets == 400


def test_units_beyond_the_bound_are_refused_and_told_by_the_next() -> None:
    depacketiser = H264Depacketiser(max_unit_bytes=1000)
    large = packetise([slice_nal(size=5000)], 0, 0)
    small = packetise([slice_nal()], len(large), 3000)
    units = push(depacketiser, large + small)
    assert [(unit.payload, unit.refused_before, unit.damaged) for unit in units] == [(annexb([slice_nal()]), 1, False)]
    assert depacketiser.refused_units == 1


def test_what_no_unit_told_can_be_asked_at_the_end() -> None:
    depacketiser = H264Depacketiser(max_unit_bytes=1000)
    push(depacketiser, packetise([slice_nal(size=5000)], 0, 0)[:-1])
    assert depacketiser.flush() is None
    assert depacketiser.untold_refused == 1
    whole = H264Depacketiser()
    push(whole, packetise([slice_nal()], 0, 0))
    assert whole.flush() is None
    assert (whole.untold_refused, whole.untold_loss) == (0, False)
    broken = H264Depacketiser()
    push(broken, packetise([slice_nal(size=3000)], 0, 0)[1:])
    assert broken.untold_loss


def test_endless_parameter_sets_are_refused_too() -> None:
    depacketiser = H264Depacketiser(max_unit_bytes=1000)
    for i in range(200):
        assert depacketiser.feed(rtp(SPS, i, i * 3000, marker=True), 0) == []
    assert depacketiser.refused_units >= 1


def test_a_unit_outlives_its_depacketiser() -> None:
    depacketiser = H264Depacketiser()
    [unit] = push(depacketiser, [rtp(slice_nal(size=900), 0, 0, marker=True)])
    del depacketiser
    gc.collect()
    assert unit.payload == annexb([slice_nal(size=900)])


def test_packets_may_be_any_buffer() -> None:
    packet = rtp(slice_nal(), 0, 0, marker=True)
    for kind in (bytes, bytearray, memoryview):
        assert len(H264Depacketiser().feed(kind(packet), 0)) == 1
    with pytest.raises(BufferError):
        H264Depacketiser().feed(memoryview(packet)[::2], 0)


@given(
    start=st.integers(0, 2**32 - 1),
    steps=st.lists(st.integers(-(2**31) + 1, 2**31 - 1), max_size=30),
)
def test_unwrapped_timestamps_follow_the_steps(start: int, steps: list[int]) -> None:
    unwrapper = TimestampUnwrapper()
    value = unwrapper.unwrap(start)
    assert value == start
    for step in steps:
        value += step
        assert unwrapper.peek(value & 0xFFFFFFFF) == value
        assert unwrapper.unwrap(value & 0xFFFFFFFF) == value == unwrapper.last


def test_narrow_counters_unwrap_as_well() -> None:
    unwrapper = TimestampUnwrapper(bits=16)
    assert [unwrapper.unwrap(v) for v in (65535, 0, 65534, 5)] == [65535, 65536, 65534, 65541]


@pytest.mark.parametrize("reorder_packets", [0, 16])
def test_another_source_of_another_type_beside_the_stream_is_no_new_start_of_it(reorder_packets: int) -> None:
    depacketiser = H264Depacketiser(payload_type=96, reorder_packets=reorder_packets, reorder_ns=1_000_000)
    beside = [rtp(b"\x01", 900 + n, 0, kind=107, ssrc=8) for n in range(3)]
    ours = [rtp(b"\x41\x9a" + bytes(8), 7 + n, n * 90, marker=True) for n in range(3)]
    units = [
        unit for pair in zip(beside, ours, strict=True) for packet in pair for unit in depacketiser.feed(packet, 0)
    ]
    assert len(units) == 3
    assert not any(unit.damaged or unit.lost_before for unit in units)
    assert (depacketiser.ssrc, depacketiser.ssrc_changes, depacketiser.foreign_packets) == (7, 0, 3)
