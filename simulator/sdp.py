"""What a camera says of its stream: the session description (RFC 8866, RFC 6184, RFC 7798, RFC 2435).

What belongs here: the text. What does not: answering DESCRIBE (`rtsp_server`).
"""

from __future__ import annotations

import base64

from simulator import jpeg_packets
from simulator.audio import Audio
from simulator.clip import Clip
from simulator.traits import Traits

VIDEO_TRACK, AUDIO_TRACK = "trackID=0", "trackID=1"
VIDEO_TYPE = 96


def payload_type(codec: str) -> int:
    """RTP payload type of a codec."""
    return jpeg_packets.PAYLOAD_TYPE if codec == "mjpeg" else VIDEO_TYPE


def describe(clip: Clip, host: str, traits: Traits, audio: Audio | None = None, *, audio_only: bool = False) -> str:
    """The SDP of a clip as a camera with these traits writes it."""
    has_control = "no-control" not in traits.manners
    lines = ["v=0", f"o=- 1 1 IN IP4 {host}", f"s={clip.name}", "c=IN IP4 0.0.0.0", "t=0 0"]
    lines += ["a=control:*"] if has_control else []
    lines.append("a=range:npt=now-")
    if audio_only:
        lines += ["m=audio 0 RTP/AVP 0", "a=rtpmap:0 PCMU/8000"]
        lines += [f"a=control:{VIDEO_TRACK}"] if has_control else []
    else:
        lines += _video(clip, traits)
        if audio:
            lines += [*audio.lines(), f"a=control:{AUDIO_TRACK}"]
    end = "\n" if "lf" in traits.manners else "\r\n"
    return end.join([*lines, ""])


def _video(clip: Clip, traits: Traits) -> list[str]:
    kind = payload_type(clip.codec)
    lines = [f"m=video 0 RTP/AVP {kind}"]
    if "no-rtpmap" not in traits.manners:
        lines.append(f"a=rtpmap:{kind} {_NAMES[clip.codec]}/90000")
    if parameters := _parameters(clip, with_sets=traits.sets != "stream"):
        lines.append(f"a=fmtp:{kind} {parameters}")
    lines.append(f"a=framerate:{traits.claims_fps or clip.fps:g}")
    return [*lines, f"a=control:{VIDEO_TRACK}"] if "no-control" not in traits.manners else lines


_NAMES = {"h264": "H264", "h265": "H265", "mjpeg": "JPEG"}


def _parameters(clip: Clip, *, with_sets: bool) -> str:
    sets = [base64.b64encode(nal).decode() for nal in clip.parameter_sets]
    if clip.codec == "h264":
        head = f"packetization-mode=1;profile-level-id={clip.parameter_sets[0][1:4].hex().upper()}"
        return f"{head};sprop-parameter-sets={','.join(sets)}" if with_sets else head
    if clip.codec == "h265" and with_sets:
        return ";".join(f"sprop-{name}={nal}" for name, nal in zip(("vps", "sps", "pps"), sets, strict=True))
    return ""
