"""Session descriptions as cameras write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.rtsp.sdp import MalformedDescription, on_same_host, parse_sdp, resolve_control

CAMERA = b"""v=0\r
o=- 1 1 IN IP4 10.0.0.9\r
s=Media Presentation\r
a=control:*\r
m=video 0 RTP/AVP 96\r
a=control:trackID=1\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 packetization-mode=1; profile-level-id=64001f; sprop-parameter-sets=Z2QAH6w=,aO48sA==\r
m=audio 0 RTP/AVP 0\r
a=control:trackID=2\r
"""


def test_video_and_audio_are_told_apart() -> None:
    description = parse_sdp(CAMERA)
    assert [(m.kind, m.encoding, m.clock_rate) for m in description.media] == [
        ("video", "H264", 90000),
        ("audio", "PCMU", 8000),
    ]
    assert description.control == "*"
    assert description.media[0].control == "trackID=1"


def test_parameter_sets_are_decoded() -> None:
    video = parse_sdp(CAMERA).media[0]
    assert video.parameter_sets == [bytes.fromhex("6764001fac"), bytes.fromhex("68ee3cb0")]


def test_broken_base64_is_left_out() -> None:
    video = parse_sdp(CAMERA.replace(b"Z2QAH6w=", b"!!!")).media[0]
    assert video.parameter_sets == [bytes.fromhex("68ee3cb0")]


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"{}", b"m=video 0 RTP/AVP 96\n"])
def test_what_is_no_description_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedDescription):
        parse_sdp(body)


def test_a_description_beyond_64_kib_is_refused() -> None:
    with pytest.raises(MalformedDescription, match="more than"):
        parse_sdp(CAMERA + b"a=x:" + b"y" * 65_536)


@given(st.binary(max_size=400))
def test_any_bytes_give_a_description_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(MalformedDescription):
        parse_sdp(b"v=0\n" + body)


@pytest.mark.parametrize(
    ("base", "control", "expected"),
    [
        ("rtsp://h/live/", "trackID=1", "rtsp://h/live/trackID=1"),
        ("rtsp://h/live", "trackID=1", "rtsp://h/live/trackID=1"),
        ("rtsp://h/live?channel=1", "trackID=1", "rtsp://h/live?channel=1/trackID=1"),
        ("rtsp://h/live", "rtsp://other/x/track1", "rtsp://other/x/track1"),
        ("rtsp://h/live", "/abs/track1", "rtsp://h/abs/track1"),
        ("rtsp://h/live", "*", "rtsp://h/live"),
        ("rtsp://h/live", "", "rtsp://h/live"),
    ],
)
def test_a_control_url_is_resolved(base: str, control: str, expected: str) -> None:
    assert resolve_control(base, control) == expected


def test_a_url_behind_address_translation_keeps_our_host() -> None:
    assert (
        on_same_host("rtsp://192.168.0.2:8554/a/track1", "rtsp://camera.example/a") == "rtsp://camera.example/a/track1"
    )
