"""Compiled core: RTP and bitstream, wire items, rings. No I/O and no event loop.

Each name has its home in the module of its concept: `bitstream` (NAL forms, what a unit says of itself), `rtp`
(framing, reassembly, reports), `wire` (frames on the wire), `ring` and `hub` (fan-out).
"""

from broker.core.bitstream import (
    JOIN_EXACT,
    JOIN_NONE,
    JOIN_RECOVERS_AFTER,
    MAX_UNIT_BYTES,
    DamageTracker,
    H264Inspector,
    UnitInfo,
    annexb_from_length_prefixed,
    canonical,
    canonical_from_nals,
    from_length_prefixed,
    split_nals,
    to_length_prefixed,
)
from broker.core.hub import Counters, Hub, NotDelivered, Subscriber
from broker.core.ring import PacketRing, live_items
from broker.core.rtp import (
    Goodbye,
    H264Depacketiser,
    InterleavedError,
    InterleavedParser,
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
    "Goodbye",
    "H264Depacketiser",
    "H264Inspector",
    "Hub",
    "InterleavedError",
    "InterleavedParser",
    "NotDelivered",
    "PacketRing",
    "RtcpParser",
    "SenderReport",
    "Subscriber",
    "TimestampUnwrapper",
    "Unit",
    "UnitInfo",
    "WireFrame",
    "annexb_from_length_prefixed",
    "canonical",
    "canonical_from_nals",
    "encode_frame",
    "encode_item",
    "from_length_prefixed",
    "live_items",
    "ntp_to_utc_ns",
    "receiver_report",
    "sha256",
    "split_nals",
    "to_length_prefixed",
]
