"""The promises of H.265 join points, kept by a real encoder and decoder: what is called exact decodes exactly."""

from __future__ import annotations

import functools

import pytest

from broker.core.bitstream import (
    JOIN_EXACT,
    JOIN_NONE,
    JOIN_RECOVERS_AFTER,
    H265Inspector,
    from_length_prefixed,
    split_nals,
    to_length_prefixed,
)
from broker.core.rtp import H265Depacketiser
from tests.unit.core import h265_stream as h265
from tests.unit.core import real_codec
from tests.unit.core.h264_stream import annexb

FRAMES = 64


@functools.cache
def encode(parameters: str) -> list[bytes]:
    fixed = "log-level=none:pools=none:frame-threads=1:scenecut=0"
    return real_codec.encode("libx265", {"x265-params": f"{fixed}:{parameters}", "preset": "ultrafast"}, FRAMES)


def decode(units: dict[int, bytes]) -> dict[int, str]:
    return real_codec.decode("hevc", units)


ALL_KINDS = {JOIN_NONE, JOIN_EXACT, JOIN_RECOVERS_AFTER}
STREAMS = [
    ("keyint=15:bframes=0:open-gop=0", {JOIN_NONE, JOIN_EXACT}),
    ("keyint=15:bframes=3:open-gop=0:b-pyramid=1", {JOIN_NONE, JOIN_EXACT}),
    ("keyint=15:bframes=2:open-gop=0:aud=1:hrd=1:vbv-maxrate=900:vbv-bufsize=900", {JOIN_NONE, JOIN_EXACT}),
    ("keyint=15:bframes=3:open-gop=0:radl=2", {JOIN_NONE, JOIN_EXACT}),
    ("keyint=15:bframes=0:open-gop=1", {JOIN_NONE, JOIN_EXACT}),
    ("keyint=15:bframes=3:open-gop=1:b-pyramid=1", ALL_KINDS),
    ("keyint=15:bframes=8:b-adapt=0:open-gop=1:temporal-layers=1:rc-lookahead=20", ALL_KINDS),
    ("keyint=20:bframes=16:b-adapt=0:open-gop=1:b-pyramid=0:rc-lookahead=30", ALL_KINDS),
    # Intra refresh as x265 writes it says nothing of recovery: nobody may join but at the beginning.
    ("keyint=15:intra-refresh=1:bframes=0", {JOIN_NONE, JOIN_EXACT}),
]


@pytest.mark.parametrize(("parameters", "kinds"), STREAMS)
def test_decoding_that_begins_at_a_join_point_is_exact_from_where_it_says(parameters: str, kinds: set[int]) -> None:
    units = encode(parameters)
    assert len(units) == FRAMES
    inspector = H265Inspector()
    infos = [inspector.inspect(unit) for unit in units]
    assert not any(info.malformed for info in infos)
    assert all(info.decodable and (info.width, info.height) == (96, 80) for info in infos)
    assert {info.join_point for info in infos} == kinds
    whole = decode(dict(enumerate(units)))
    assert len(whole) == FRAMES
    joins = [seq for seq, info in enumerate(infos) if info.join_point != JOIN_NONE]
    assert len(joins) >= (1 if "intra-refresh" in parameters else 4)
    for seq in joins:
        # As a stream that tells its sets once: without those of its own, the unit gets them back.
        bare = annexb([nal for nal in split_nals(units[seq]) if not 32 <= nal[0] >> 1 & 0x3F <= 34])
        pictures = decode({seq: inspector.with_parameter_sets(bare)} | dict(enumerate(units[seq + 1 :], seq + 1)))
        exact = range(seq + infos[seq].recovers_after, FRAMES)
        assert [at for at in exact if pictures.get(at) != whole[at]] == []


@pytest.mark.parametrize("parameters", [STREAMS[1][0], STREAMS[4][0], STREAMS[5][0], STREAMS[6][0], STREAMS[7][0]])
def test_frames_that_follow_no_damage_decode_exactly_whatever_was_lost(parameters: str) -> None:
    units = encode(parameters)
    whole = decode(dict(enumerate(units)))
    healed = 0
    for seed in range(20):
        lossy = real_codec.lose_some(units, H265Inspector(), f"{parameters} {seed}")
        pictures = decode(lossy.came)
        assert [seq for seq in lossy.exact if pictures.get(seq) != whole[seq]] == []
        healed += bool(lossy.exact) and max(lossy.exact) > min(lossy.lost)
    assert healed


def test_units_survive_the_way_through_rtp_and_through_length_prefixes() -> None:
    depacketiser = H265Depacketiser(payload_type=97)
    sequence = 65000
    for number, unit in enumerate(encode(STREAMS[2][0])):
        packets = h265.packetise(
            [bytes(nal) for nal in split_nals(unit)], sequence, number * 3600, mtu=300, aggregate=number % 2 == 0
        )
        sequence += len(packets)
        got = [one for packet in packets for one in depacketiser.feed(packet, number)]
        assert [(one.payload, one.damaged) for one in got] == [(unit, False)]
        assert from_length_prefixed(to_length_prefixed(unit)) == unit
