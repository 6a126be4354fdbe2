"""Which of a camera's streams the broker takes, and how it is coded.

Belongs here: the choice among what a description offers, and its refusal in words. Does not belong here: the text form
(`sdp`), requests (`session`).
"""

from __future__ import annotations

from dataclasses import dataclass

from broker.core import canonical_from_nals
from broker.errors import SourceRefused
from broker.kinds import Codec
from broker.rtsp.sdp import Description, Media
from trueframe.v1.frames_pb2 import CODEC_H264, CODEC_H265, CODEC_MJPEG

_CODECS: dict[str, Codec] = {"H264": CODEC_H264, "H265": CODEC_H265, "JPEG": CODEC_MJPEG}
_NAMES = {
    "MP4V-ES": "MPEG-4 Part 2",
    "MP2T": "an MPEG transport stream",
    "MPV": "MPEG-2 video",
    "H263": "H.263",
    "AV1": "AV1",
    "VP8": "VP8",
    "VP9": "VP9",
    "VND.ONVIF.METADATA": "metadata",
}
_REMEDY = "Set this stream to H.264, H.265 or Motion JPEG in the camera."
_GIVE_VIDEO = "Give the URL of a stream that has video."


@dataclass(frozen=True, slots=True)
class Video:
    """The video stream that is taken."""

    media: Media
    codec: Codec

    @property
    def parameter_sets(self) -> bytes:
        """Those of the description in canonical form; empty without any."""
        return b"" if self.codec == CODEC_MJPEG else canonical_from_nals(self.media.parameter_sets)


def choose(thing: str, description: Description) -> Video:
    """The first video that can be carried, in the camera's own order. Raises SourceRefused with what there is."""
    video = [media for media in description.media if media.kind == "video"]
    if not video:
        only_audio = any(media.kind == "audio" for media in description.media)
        raise SourceRefused(thing, "sends audio only" if only_audio else "offers no video", _GIVE_VIDEO)
    objections = []
    for media in video:
        codec = _CODECS.get(media.encoding)
        objection = _objection(media, codec)
        if codec is not None and not objection:
            return Video(media, codec)
        objections.append(objection)
    raise SourceRefused(thing, f"sends {objections[0]}, which this version does not carry", _REMEDY)


def audio_controls(description: Description) -> list[Media]:
    """The sections of audio, each once."""
    found: dict[int, Media] = {}
    for media in description.media:
        if media.kind == "audio":
            found.setdefault(media.section, media)
    return list(found.values())


def _objection(media: Media, codec: Codec | None) -> str:
    """What the stream is, if it cannot be carried; empty if it can."""
    parameters = media.parameters
    if "SAVP" in media.protocol:
        return "encrypted RTP (SRTP)"
    if not media.protocol.startswith("RTP/"):
        return f"{media.protocol[:40]} instead of RTP"
    if codec is None:
        return _NAMES.get(media.encoding, media.encoding[:40] or f"payload type {media.payload_type}")
    if codec == CODEC_H264 and parameters.get("packetization-mode", "0") not in ("0", "1", ""):
        return "H.264 in interleaved packetization mode"
    if codec == CODEC_H265:
        if parameters.get("tx-mode", "SRST").upper() != "SRST":
            return "H.265 over several streams at once"
        if any(parameters.get(name, "0") not in ("0", "") for name in ("sprop-max-don-diff", "sprop-depack-buf-nalus")):
            return "H.265 out of decoding order"
    return ""
