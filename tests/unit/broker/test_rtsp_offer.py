"""Which of a camera's streams is taken."""

from __future__ import annotations

import base64

import pytest

from broker.errors import SourceRefused
from broker.rtsp import offer
from broker.rtsp.sdp import control_urls, parse_sdp
from trueframe.v1.frames_pb2 import CODEC_H264, CODEC_H265, CODEC_MJPEG


def chosen(*lines: str) -> offer.Video:
    return offer.choose("camera", parse_sdp("\n".join(["v=0", "s=x", *lines]).encode()))


@pytest.mark.parametrize(
    ("lines", "codec", "payload_type", "clock_rate"),
    [
        (["m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000"], CODEC_H264, 96, 90000),
        (["m=video 0 RTP/AVP 97", "a=rtpmap:97 h265/90000"], CODEC_H265, 97, 90000),
        (["m=video 0 RTP/AVP 97", "a=rtpmap: 97 HEVC/90000"], CODEC_H265, 97, 90000),
        (["m=video 0 RTP/AVP 26"], CODEC_MJPEG, 26, 90000),
        (["m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/1000"], CODEC_H264, 96, 1000),
        (["m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/0"], CODEC_H264, 96, 90000),
        (["m=video 0 RTP/AVP 96", "a=rtpmap:96 H264"], CODEC_H264, 96, 90000),
        (["m=video 0 RTP/AVPF 98 96", "a=rtpmap:98 VP8/90000", "a=rtpmap:96 H264/90000"], CODEC_H264, 96, 90000),
        (["m=video 0 RTP/AVP 96", "a=fmtp:96 packetization-mode=1"], CODEC_H264, 96, 90000),
        (["m=video 0 RTP/AVP 96", "a=fmtp:96 sprop-vps=AAAA"], CODEC_H265, 96, 90000),
    ],
)
def test_the_coding_is_understood(lines: list[str], codec: int, payload_type: int, clock_rate: int) -> None:
    video = chosen(*lines)
    assert (video.codec, video.media.payload_type, video.media.clock_rate) == (codec, payload_type, clock_rate)


def test_of_two_tracks_the_first_that_can_be_carried_is_taken() -> None:
    video = chosen(
        "m=application 0 RTP/AVP 107",
        "m=video 0 RTP/AVP 96",
        "a=rtpmap:96 MP4V-ES/90000",
        "a=control:t1",
        "m=video 0 RTP/AVP 97",
        "a=rtpmap:97 H265/90000",
        "a=control:t2",
        "m=video 0 RTP/AVP 98",
        "a=rtpmap:98 H264/90000",
        "a=control:t3",
    )
    assert (video.codec, video.media.control) == (CODEC_H265, "t2")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["m=audio 0 RTP/AVP 0"], "sends audio only"),
        (["m=application 0 RTP/AVP 107"], "offers no video"),
        (["m=video 0 RTP/AVP 96", "a=rtpmap:96 AV1/90000"], "sends AV1"),
        (["m=video 0 RTP/AVP 99"], "sends payload type 99"),
        (["m=video 0 RTP/SAVP 96", "a=rtpmap:96 H264/90000"], "encrypted RTP"),
        (["m=video 0 udp 33"], "UDP instead of RTP"),
        (["m=video 0 RTP/AVP 33"], "MPEG transport stream"),
        (["m=video 0 RTP/AVP 96", "a=rtpmap:96 H265/90000", "a=fmtp:96 sprop-max-don-diff=2"], "out of decoding order"),
        (["m=video 0 RTP/AVP 96", "a=rtpmap:96 H265/90000", "a=fmtp:96 tx-mode=MRST"], "several streams"),
        (["m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=2"], "interleaved"),
    ],
)
def test_what_cannot_be_carried_is_named_with_what_helps(lines: list[str], reason: str) -> None:
    with pytest.raises(SourceRefused, match=reason) as caught:
        chosen(*lines)
    assert caught.value.remedy


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def test_parameter_sets_of_h265_come_in_the_order_vps_sps_pps() -> None:
    video = chosen(
        "m=video 0 RTP/AVP 96",
        "a=rtpmap:96 H265/90000",
        f"a=fmtp:96 sprop-pps={b64(b'pps')};sprop-sps={b64(b's1')},{b64(b's2')}; sprop-vps={b64(b'vps')}",
    )
    start = b"\0\0\0\1"
    assert video.parameter_sets == start + b"vps" + start + b"s1" + start + b"s2" + start + b"pps"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!!!,aO48sA==", b"\0\0\0\1\x68\xee\x3c\xb0"),
        ("AAAAAWjuPLA=", b"\0\0\0\1\x68\xee\x3c\xb0"),
        (",,", b""),
        ("", b""),
    ],
    ids=["one-broken", "with-start-code", "nothing", "empty"],
)
def test_parameter_sets_are_taken_as_far_as_they_can_be_read(text: str, expected: bytes) -> None:
    lines = ("m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", f"a=fmtp:96 sprop-parameter-sets={text}")
    assert chosen(*lines).parameter_sets == expected


def test_motion_jpeg_has_no_parameter_sets() -> None:
    assert chosen("m=video 0 RTP/AVP 26", "a=fmtp:26 sprop-parameter-sets=aO48sA==").parameter_sets == b""


@pytest.mark.parametrize(
    ("base", "asked", "session", "control", "first"),
    [
        ("rtsp://10.9.9.9/live/", "rtsp://cam/live", "*", "trackID=1", "rtsp://cam/live/trackID=1"),
        ("rtsp://cam/", "rtsp://cam/live", "*", "trackID=1", "rtsp://cam/trackID=1"),
        ("rtsp://cam/live", "rtsp://cam/live", "", "", "rtsp://cam/live"),
        ("rtsp://cam/live", "rtsp://cam/live", "rtsp://x/all", "t", "rtsp://cam/all/t"),
        ("rtsp://cam/live", "rtsp://cam/live", "", "rtsp://x/abs/t", "rtsp://cam/abs/t"),
    ],
)
def test_a_track_is_set_up_below_the_base_first(base: str, asked: str, session: str, control: str, first: str) -> None:
    media = parse_sdp(f"v=0\nm=video 0 RTP/AVP 96\na=control:{control}".encode()).media[0]
    urls = control_urls(base, asked, session, media, is_only=True)
    assert urls[0] == first
    assert all(url.startswith("rtsp://cam/") for url in urls), "no other host is ever asked"
    assert len(set(urls)) == len(urls)


def test_a_base_that_leads_nowhere_is_followed_by_the_url_that_was_asked_for() -> None:
    media = parse_sdp(b"v=0\nm=video 0 RTP/AVP 96\na=control:t").media[0]
    urls = control_urls("rtsp://cam/wrong/", "rtsp://cam/live?c=1", "*", media, is_only=True)
    assert urls == ["rtsp://cam/wrong/t", "rtsp://cam/live?c=1/t", "rtsp://cam/live/t"]


def test_of_several_tracks_without_a_name_the_usual_names_are_tried() -> None:
    media = parse_sdp(b"v=0\nm=audio 0 RTP/AVP 0\nm=video 0 RTP/AVP 96").media[1]
    urls = control_urls("rtsp://cam/live", "rtsp://cam/live", "", media, is_only=False)
    assert urls[0] == "rtsp://cam/live"
    assert "rtsp://cam/live/trackID=2" in urls
