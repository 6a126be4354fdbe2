"""Bitstream names in one place: NAL forms, what a unit says of itself, damage. No code of its own belongs here."""

from broker.core.annexb import (
    MAX_UNIT_BYTES,
    annexb_from_length_prefixed,
    canonical,
    canonical_from_nals,
    from_length_prefixed,
    split_nals,
    to_length_prefixed,
)
from broker.core.h264 import H264Inspector
from broker.core.h265 import H265Inspector
from broker.core.jpeg import JpegInspector
from broker.core.unit_info import (
    JOIN_EXACT,
    JOIN_NONE,
    JOIN_RECOVERS_AFTER,
    DamageTracker,
    UnitInfo,
)

__all__ = [
    "JOIN_EXACT",
    "JOIN_NONE",
    "JOIN_RECOVERS_AFTER",
    "MAX_UNIT_BYTES",
    "DamageTracker",
    "H264Inspector",
    "H265Inspector",
    "JpegInspector",
    "UnitInfo",
    "annexb_from_length_prefixed",
    "canonical",
    "canonical_from_nals",
    "from_length_prefixed",
    "split_nals",
    "to_length_prefixed",
]
