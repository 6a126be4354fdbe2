"""From a codec's name in the protos to the parts that know it. Nothing that knows a codec itself belongs here."""

from __future__ import annotations

from typing import TypeAlias

from broker.core.depacketiser import Depacketiser
from broker.core.h264 import H264Inspector
from broker.core.h264_rtp import H264Depacketiser
from broker.core.h265 import H265Inspector
from broker.core.h265_rtp import H265Depacketiser
from broker.core.jpeg import JpegInspector
from broker.core.jpeg_rtp import JpegDepacketiser
from trueframe.v1.frames_pb2 import CODEC_H264, CODEC_H265, CODEC_MJPEG, Codec

UnitInspector: TypeAlias = "H264Inspector | H265Inspector | JpegInspector"

_DEPACKETISERS: dict[int, type[Depacketiser]] = {
    CODEC_H264: H264Depacketiser,
    CODEC_H265: H265Depacketiser,
    CODEC_MJPEG: JpegDepacketiser,
}
_INSPECTORS: dict[int, type[H264Inspector] | type[H265Inspector] | type[JpegInspector]] = {
    CODEC_H264: H264Inspector,
    CODEC_H265: H265Inspector,
    CODEC_MJPEG: JpegInspector,
}


def depacketiser_for(
    codec: int,
    payload_type: int | None = None,
    *,
    ssrc: int | None = None,
    max_unit_bytes: int = 16 << 20,
    reorder_packets: int = 0,
    reorder_ns: int = 0,
) -> Depacketiser:
    """What puts the units of a stream in `codec` (frames.proto) together. Raises ValueError for an unknown codec."""
    kind = _DEPACKETISERS.get(codec)
    if kind is None:
        raise ValueError(f"no depacketiser for {_name(codec)}: H.264, H.265 and Motion JPEG are understood")
    return kind(ssrc, payload_type, max_unit_bytes, reorder_packets=reorder_packets, reorder_ns=reorder_ns)


def inspector_for(codec: int, parameter_sets: bytes = b"") -> UnitInspector:
    """What reads the units of a stream in `codec` (frames.proto). Raises ValueError for an unknown codec.

    `parameter_sets`: canonical bytes known beforehand; ignored for Motion JPEG, which has none.
    """
    kind = _INSPECTORS.get(codec)
    if kind is None:
        raise ValueError(f"no inspector for {_name(codec)}: H.264, H.265 and Motion JPEG are understood")
    return kind(parameter_sets)


def _name(codec: int) -> str:
    return next((name for name, value in Codec.items() if value == codec), f"codec {codec}")
