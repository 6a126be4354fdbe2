"""RTP names in one place: framing, reassembly, reports, timestamps. No code of its own belongs here."""

from broker.core.depacketiser import Depacketiser
from broker.core.h264_rtp import H264Depacketiser
from broker.core.h265_rtp import H265Depacketiser
from broker.core.interleaved import Event, InterleavedError, InterleavedParser
from broker.core.jpeg_rtp import JpegDepacketiser
from broker.core.rtcp import Goodbye, RtcpParser, SenderReport, ntp_to_utc_ns, receiver_report
from broker.core.timestamps import TimestampUnwrapper
from broker.core.unit import Unit

__all__ = [
    "Depacketiser",
    "Event",
    "Goodbye",
    "H264Depacketiser",
    "H265Depacketiser",
    "InterleavedError",
    "InterleavedParser",
    "JpegDepacketiser",
    "RtcpParser",
    "SenderReport",
    "TimestampUnwrapper",
    "Unit",
    "ntp_to_utc_ns",
    "receiver_report",
]
