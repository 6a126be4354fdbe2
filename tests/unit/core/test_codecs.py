"""From a codec's name to the parts that know it."""

from __future__ import annotations

import pytest

from broker.core import (
    H264Depacketiser,
    H264Inspector,
    H265Depacketiser,
    H265Inspector,
    JpegDepacketiser,
    JpegInspector,
    depacketiser_for,
    inspector_for,
)
from broker.core.interleaved import InterleavedParser
from tests.unit.core import h265_stream as h265
from tests.unit.core.h264_stream import annexb
from tests.unit.core.jpeg_stream import Jpeg, film, packetise
from trueframe.v1.frames_pb2 import CODEC_H264, CODEC_H265, CODEC_MJPEG, CODEC_UNSPECIFIED


@pytest.mark.parametrize(
    ("codec", "depacketiser", "inspector"),
    [
        (CODEC_H264, H264Depacketiser, H264Inspector),
        (CODEC_H265, H265Depacketiser, H265Inspector),
        (CODEC_MJPEG, JpegDepacketiser, JpegInspector),
    ],
)
def test_every_codec_has_its_parts(codec: int, depacketiser: type, inspector: type) -> None:
    made = depacketiser_for(codec, 96, ssrc=7, max_unit_bytes=1000, reorder_packets=3, reorder_ns=5)
    assert type(made) is depacketiser
    assert made.ssrc == 7
    assert type(inspector_for(codec)) is inspector


@pytest.mark.parametrize("codec", [CODEC_UNSPECIFIED, 99])
def test_an_unknown_codec_is_named(codec: int) -> None:
    name = "CODEC_UNSPECIFIED" if codec == CODEC_UNSPECIFIED else "codec 99"
    with pytest.raises(ValueError, match=f"no depacketiser for {name}"):
        depacketiser_for(codec)
    with pytest.raises(ValueError, match=f"no inspector for {name}"):
        inspector_for(codec)


def test_sets_known_beforehand_reach_the_inspector() -> None:
    sets = annexb([h265.vps(), h265.sps(), h265.pps()])
    assert inspector_for(CODEC_H265, sets).parameter_sets == sets
    assert inspector_for(CODEC_MJPEG, sets).parameter_sets == b""


def test_an_interleaved_connection_feeds_any_codec() -> None:
    parser = InterleavedParser()
    parser.attach(0, depacketiser_for(CODEC_MJPEG))
    parser.attach(2, depacketiser_for(CODEC_H265))
    jpeg = packetise(Jpeg.parse(film()[0]), 0, 0, mtu=300)
    unit = h265.packetise([h265.slice_nal(size=600)], 0, 0, mtu=300)
    data = b"".join(
        b"$" + bytes([channel]) + len(packet).to_bytes(2, "big") + packet
        for channel, packets in ((0, jpeg), (2, unit))
        for packet in packets
    )
    events = parser.feed(data, 5)
    assert [(kind, channel) for kind, channel, _ in events] == [("unit", 0), ("unit", 2)]
