"""What a camera says of its stream: the session description (RFC 8866, RFC 6184)."""

from __future__ import annotations

import base64

from simulator.clip import Clip

TRACK = "trackID=0"


def describe(clip: Clip, host: str, *, sprop: bool, audio_only: bool = False) -> str:
    """The SDP of a clip; without `sprop` the parameter sets come in the stream only."""
    lines = [
        "v=0",
        f"o=- 1 1 IN IP4 {host}",
        f"s={clip.name}",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        "a=range:npt=now-",
    ]
    if audio_only:
        return "\r\n".join([*lines, "m=audio 0 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", f"a=control:{TRACK}", ""])
    parameters = f"packetization-mode=1;profile-level-id={clip.sps[1:4].hex().upper()}"
    if sprop:
        sets = ",".join(base64.b64encode(nal).decode() for nal in (clip.sps, clip.pps))
        parameters += f";sprop-parameter-sets={sets}"
    lines += [
        "m=video 0 RTP/AVP 96",
        "a=rtpmap:96 H264/90000",
        f"a=fmtp:96 {parameters}",
        f"a=framerate:{clip.fps:g}",
        f"a=control:{TRACK}",
        "",
    ]
    return "\r\n".join(lines)
