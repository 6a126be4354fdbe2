"""Compiled core: RTP and bitstream, wire items, rings. No I/O and no event loop.

Each name has its home in the module of its concept: `bitstream` (NAL forms, what a unit says of itself), `rtp`
(framing, reassembly, reports), `codecs` (which part knows which codec), `wire` (frames on the wire), `ring` and `hub`
(fan-out).
"""

from broker.core.bitstream import (
    JOIN_EXACT,
    JOIN_NONE,
    JOIN_RECOVERS_AFTER,
    MAX_UNIT_BYTES,
    DamageTracker,
    H264Inspector,
    H265Inspector,
    JpegInspector,
    UnitInfo,
    annexb_from_length_prefixed,
    canonical,
    canonical_from_nals,
    from_length_prefixed,
    split_nals,
    to_length_prefixed,
)
from broker.core.codecs import UnitInspector, depacketiser_for, inspector_for
from broker.core.hub import Counters, Hub, NotDelivered, Subscriber
from broker.core.ring import PacketRing, live_items
from broker.core.rtp import (
    Depacketiser,
    Goodbye,
    H264Depacketiser,
    H265Depacketiser,
    InterleavedError,
    InterleavedParser,
    JpegDepacketiser,
    RtcpParser,
    SenderReport,
    TimestampUnwrapper,
    Unit,
    ntp_to_utc_ns,
    receiver_report,
)
from broker.core.wire import BatchReader, WireFrame, encode_frame, encode_item, sha256

__all__ = [
    "JOIN_EXACT",
    "JOIN_NONE",
    "JOIN_RECOVERS_AFTER",
    "MAX_UNIT_BYTES",
    "BatchReader",
    "Counters",
    "DamageTracker",
    "Depacketiser",
    "Goodbye",
    "H264Depacketiser",
    "H264Inspector",
    "H265Depacketiser",
    "H265Inspector",
    "Hub",
    "InterleavedError",
    "InterleavedParser",
    "JpegDepacketiser",
    "JpegInspector",
    "NotDelivered",
    "PacketRing",
    "RtcpParser",
    "SenderReport",
    "Subscriber",
    "TimestampUnwrapper",
    "Unit",
    "UnitInfo",
    "UnitInspector",
    "WireFrame",
    "annexb_from_length_prefixed",
    "canonical",
    "canonical_from_nals",
    "depacketiser_for",
    "encode_frame",
    "encode_item",
    "from_length_prefixed",
    "inspector_for",
    "live_items",
    "ntp_to_utc_ns",
    "receiver_report",
    "sha256",
    "split_nals",
    "to_length_prefixed",
]
