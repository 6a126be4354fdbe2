"""H.265 units out of RTP packets (RFC 7798), with every loss marked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broker.core.rtp import H265Depacketiser, Unit
from tests.unit.core import h265_stream as h265
from tests.unit.core.h264_stream import annexb, rtp
from tests.unit.core.h265_stream import packetise, slice_nal


def push(depacketiser: H265Depacketiser, packets: list[bytes], at: int = 0) -> list[Unit]:
    return [unit for i, packet in enumerate(packets) for unit in depacketiser.feed(packet, at + i)]


units_strategy = st.lists(st.tuples(st.integers(2, 4000), st.integers(1, 3), st.booleans()), min_size=1, max_size=12)


@given(shape=units_strategy, mtu=st.integers(20, 1500), start=st.integers(0, 65535), marker=st.booleans())
def test_units_come_out_as_they_went_in(shape: list[tuple[int, int, bool]], mtu: int, start: int, marker: bool) -> None:
    depacketiser = H265Depacketiser()
    sequence = start
    sent: list[bytes] = []
    got: list[Unit] = []
    for number, (size, slices, aggregate) in enumerate(shape):
        nals = [
            h265.DELIMITER,
            *[slice_nal(h265.TRAIL_R, first=i == 0, size=size, temporal=1 + number % 3) for i in range(slices)],
            slice_nal(h265.TRAIL_R, layer=33, size=size // 2),
        ]
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
    assert sum(unit.packets for unit in got) == sequence - start == depacketiser.packets
    assert depacketiser.lost_packets == 0
    assert depacketiser.flush() is None


@given(
    sizes=st.lists(st.integers(2, 300), min_size=2, max_size=20),
    lost=st.sets(st.integers(0, 200), max_size=20),
    marker=st.booleans(),
)
def test_every_unit_that_is_not_marked_is_whole_and_every_loss_is_told(
    sizes: list[int], lost: set[int], marker: bool
) -> None:
    depacketiser = H265Depacketiser()
    sequence = 0
    sent: dict[int, bytes] = {}
    hit: set[int] = set()
    got: list[Unit] = []
    for number, size in enumerate(sizes):
        sets = [h265.vps(), h265.sps(), h265.pps()] if number % 5 == 0 else []
        nals = [*sets, slice_nal(h265.IDR_N_LP if sets else h265.TRAIL_R, size=size) + bytes([number + 1])]
        packets = packetise(nals, 65500 + sequence, number * 3000, mtu=60, marker=marker)
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
    came = [unit.rtp_timestamp for unit in got]
    assert came == sorted(set(came))
    for before, unit in zip([-3000, *came], got, strict=False):
        if unit.rtp_timestamp != before + 3000:
            assert unit.lost_before


def test_fragments_keep_the_layer_and_the_temporal_layer_of_their_nal() -> None:
    whole = slice_nal(h265.TRAIL_N, size=500, layer=35, temporal=5)
    [unit] = push(H265Depacketiser(), packetise([whole], 0, 0, mtu=100))
    assert unit.payload == annexb([whole])
    assert not unit.damaged


def test_parameter_sets_sent_apart_become_the_head_of_the_next_picture() -> None:
    sets = [h265.vps(), h265.sps(), h265.pps()]
    units = push(
        H265Depacketiser(),
        [
            *[rtp(one, i, 1000, marker=True) for i, one in enumerate(sets)],
            rtp(slice_nal(h265.IDR_N_LP), 3, 3000, marker=True),
        ],
    )
    assert [unit.payload for unit in units] == [annexb([*sets, slice_nal(h265.IDR_N_LP)])]
    assert not units[0].damaged
