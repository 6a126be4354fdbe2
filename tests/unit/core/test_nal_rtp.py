"""NAL units out of RTP payloads, where H.264 and H.265 do the same: pieces, several in one, and what cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.rtp import Depacketiser, Unit
from tests.unit.core.h264_stream import annexb, rtp
from tests.unit.core.nal_codecs import BOTH, H264, H265, NalCodec

UNREADABLE = {
    "h264": [
        b"\x79\x00\x01\x00\x02\x41\x9a",
        b"\x7a\x00",
        b"\x7b\x00",
        b"\x7d\x80\x00\x00",
        b"\x00",
        b"\x1e",
        b"\x1f",
        b"\xc1\x9a",
        b"\x78",
        b"\x78\x00",
        b"\x78\x00\x00",
        b"\x78\x00\x09\x41",
        b"\x78\x00\x01\x78",
        b"\x78\x00\x01\x00",
        b"\x78\x00\x02\x41\x9a\x00",
        b"\x7c",
        b"\x7c\x05ab",
        b"\x7c\x45ab",
        b"\x7c\x9cab",
        b"\x7c\x80ab",
        b"\xfc\x85ab",
    ],
    "h265": [
        b"\x02",
        b"\x82\x01\x80",
        b"\x02\x00\x80",
        b"\x02\x08\x80",
        b"\x64\x01\x00\x00",
        b"\x66\x01\x00",
        b"\x7e\x01\x00",
        b"\x60\x01",
        b"\x60\x01\x00",
        b"\x60\x01\x00\x00",
        b"\x60\x01\x00\x01\x02",
        b"\x60\x01\x00\x09\x02\x01",
        b"\x60\x01\x00\x03\x02\x01\x80\x00",
        b"\x60\x01\x00\x03\x62\x01\x80",
        b"\x60\x01\x00\x03\x82\x01\x80",
        b"\x60\x01\x00\x03\x02\x00\x80",
        b"\x62\x01",
        b"\x62\x01\x01ab",
        b"\x62\x01\x41ab",
        b"\x62\x01\xb0ab",
        b"\x62\x01\xb1ab",
        b"\xe2\x01\x81ab",
        b"\x62\x00\x81ab",
    ],
}


def push(depacketiser: Depacketiser, packets: list[bytes]) -> list[Unit]:
    return [unit for number, packet in enumerate(packets) for unit in depacketiser.feed(packet, number)]


@pytest.mark.parametrize(("codec", "payload"), [(name, one) for name, every in UNREADABLE.items() for one in every])
def test_payloads_that_cannot_be_read_damage_their_unit(codec: str, payload: bytes) -> None:
    kind = BOTH[codec]
    [unit] = push(kind.depacketiser(), [rtp(payload, 0, 0), rtp(kind.slice, 1, 0, marker=True)])
    assert unit.damaged
    assert unit.payload.endswith(annexb([kind.slice]))


@pytest.mark.parametrize("codec", BOTH.values(), ids=BOTH)
def test_a_fragmented_nal_without_its_end_damages_its_unit(codec: NalCodec) -> None:
    for interruption in (codec.slice, b"", codec.first + b"x"):
        packets = [rtp(codec.first + b"\x9aaa", 0, 0), rtp(interruption, 1, 0, marker=True)]
        units = push(codec.depacketiser(), packets)
        assert [unit.damaged for unit in units] == [True]


@pytest.mark.parametrize("codec", BOTH.values(), ids=BOTH)
def test_a_fragment_of_another_kind_of_nal_is_not_glued_on(codec: NalCodec) -> None:
    parts = [codec.first + b"\x88first", codec.middle_of_another + b"wrong", codec.last + b"last"]
    [unit] = push(codec.depacketiser(), [rtp(part, i, 0, marker=i == 2) for i, part in enumerate(parts)])
    assert unit.damaged
    assert unit.payload == annexb([codec.fragmented + b"\x88first"])


def hostile(beginnings: list[bytes]) -> st.SearchStrategy[list[bytes]]:
    """Packets of anything, and of RTP headers with payloads that begin like those."""
    payload = st.builds(bytes.__add__, st.sampled_from(beginnings), st.binary(max_size=40))
    made = st.builds(
        lambda first, second, sequence, timestamp, payload: (
            bytes([first, second]) + rtp(payload, sequence, timestamp)[2:]
        ),
        st.sampled_from([0x80, 0x80, 0x80, 0x90, 0xA0, 0x82, 0x40]),
        st.integers(0, 255),
        st.integers(0, 40),
        st.integers(0, 3),
        payload,
    )
    return st.lists(st.one_of(st.binary(max_size=60), made), max_size=60)


def assert_no_more_than_damage(codec: NalCodec, packets: list[bytes], limit: int, window: int) -> None:
    depacketiser = codec.depacketiser(max_unit_bytes=limit, reorder_packets=window, reorder_ns=5)
    units = push(depacketiser, packets)
    while (last := depacketiser.flush()) is not None:
        units.append(last)
    for unit in units:
        assert unit.payload.startswith(b"\x00\x00\x00\x01")
        assert len(unit.payload) <= limit
        assert 1 <= unit.packets <= len(packets)
    assert depacketiser.units == len(units)


@given(
    packets=hostile([bytes([b]) for b in (0x41, 0x65, 0x67, 0x78, 0x7C, 0x7C, 0x79, 0x7F, 0xC1)]),
    limit=st.integers(64, 4096),
    window=st.integers(0, 8),
)
def test_no_packet_of_h264_does_more_than_damage(packets: list[bytes], limit: int, window: int) -> None:
    assert_no_more_than_damage(H264, packets, limit, window)


@given(
    packets=hostile(
        [bytes([b, 1]) for b in (0x02, 0x26, 0x28, 0x2A, 0x40, 0x42, 0x44, 0x46, 0x60, 0x62, 0x62, 0x64, 0x82)]
    ),
    limit=st.integers(64, 4096),
    window=st.integers(0, 8),
)
def test_no_packet_of_h265_does_more_than_damage(packets: list[bytes], limit: int, window: int) -> None:
    assert_no_more_than_damage(H265, packets, limit, window)
