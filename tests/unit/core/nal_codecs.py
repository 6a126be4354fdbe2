"""H.264 and H.265 side by side, for tests of what they have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from broker.core.bitstream import H264Inspector, H265Inspector
from broker.core.rtp import H264Depacketiser, H265Depacketiser
from tests.unit.core import h264_stream as h264
from tests.unit.core import h265_stream as h265


@dataclass(frozen=True, slots=True)
class NalCodec:
    """A codec made of NAL units. Fragments are of one NAL: its header and body, and what each piece begins with."""

    depacketiser: type[H264Depacketiser] | type[H265Depacketiser]
    inspector: type[H264Inspector] | type[H265Inspector]
    packetise: Callable[..., list[bytes]]
    delimiter: bytes
    sets: list[bytes]
    idr: bytes
    slice: bytes
    pps: Callable[[int], bytes]
    pps_numbers: int
    fragmented: bytes
    first: bytes
    middle_of_another: bytes
    last: bytes

    def large_idr(self, size: int) -> bytes:
        """An IDR slice of that many bytes behind its header, about."""
        return self.idr + b"\xaa" * size


H264 = NalCodec(
    depacketiser=H264Depacketiser,
    inspector=H264Inspector,
    packetise=h264.packetise,
    delimiter=h264.AUD,
    sets=[h264.sps(h264.SpsFields()), h264.pps()],
    idr=h264.slice_nal(idr=True),
    slice=h264.slice_nal(),
    pps=h264.pps,
    pps_numbers=256,
    fragmented=b"\x65",
    first=b"\x7c\x85",
    middle_of_another=b"\x7c\x01",
    last=b"\x7c\x45",
)
H265 = NalCodec(
    depacketiser=H265Depacketiser,
    inspector=H265Inspector,
    packetise=h265.packetise,
    delimiter=h265.DELIMITER,
    sets=[h265.vps(), h265.sps(), h265.pps()],
    idr=h265.slice_nal(h265.IDR_N_LP),
    slice=h265.slice_nal(),
    pps=h265.pps,
    pps_numbers=64,
    fragmented=b"\x26\x01",
    first=b"\x62\x01\x93",
    middle_of_another=b"\x62\x01\x01",
    last=b"\x62\x01\x53",
)
BOTH = {"h264": H264, "h265": H265}
