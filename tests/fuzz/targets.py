"""All targets by name."""

from __future__ import annotations

from tests.fuzz.target import Target
from tests.fuzz.target_camera import Camera
from tests.fuzz.targets_bitstream import H264, H265, Annexb, Jpeg
from tests.fuzz.targets_rtp import Connection, H264Rtp, H265Rtp, JpegRtp, Rtcp
from tests.fuzz.targets_text import Challenges, Chunks, Multipart, Rtsp, Sdp, Source, Xml
from tests.fuzz.targets_wire import Wire

KINDS: tuple[type[Target], ...] = (
    Camera,
    H264Rtp,
    H265Rtp,
    JpegRtp,
    Connection,
    Rtcp,
    Annexb,
    H264,
    H265,
    Jpeg,
    Wire,
    Rtsp,
    Sdp,
    Challenges,
    Multipart,
    Chunks,
    Xml,
    Source,
)


def all_targets() -> dict[str, Target]:
    """A fresh one of each."""
    return {kind.name: kind() for kind in KINDS}
