"""Traits as text, what they imply, and which nobody can have."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.spec import SpecError
from simulator.traits import SLOPPY, Traits, parse


def made(text: str) -> Traits:
    return Traits().with_texts(parse(text))


def test_a_text_gives_traits_and_a_name_alone_means_yes() -> None:
    traits = made("codec=h265, bframes=2,onvif,aggregate=no,gop_s=30,other=codec:mjpeg+size:64x64")
    assert (traits.codec, traits.bframes, traits.onvif, traits.aggregate, traits.gop_s) == ("h265", 2, True, False, 30)
    changed = traits.changed()
    assert changed is not None
    assert (changed.codec, changed.size, changed.bframes, changed.other) == ("mjpeg", "64x64", 0, "")
    assert made("").changed() is None


@pytest.mark.parametrize(
    ("text", "told", "plays"),
    [
        ("", False, False),
        ("scheme=rtsps", True, True),
        ("redirect=tls", False, True),
        ("scheme=rtsps,redirect=plain", True, False),
        ("scheme=https,codec=mjpeg,redirect=path", True, True),
    ],
)
def test_where_a_camera_is_told_to_be_and_where_it_plays(text: str, told: bool, plays: bool) -> None:
    traits = made(text)
    assert (traits.told_secure, traits.plays_secure) == (told, plays)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("codec=vp8", "h264"),
        ("colour=red", "unknown"),
        ("fps=many", "of type int"),
        ("onvif=perhaps", "yes or no"),
        ("sloppy=rude", "no-cseq"),
        ("scheme=http", "mjpeg only"),
        ("audio=aac,sloppy=no-control", "control lines"),
        ("audio=aac,scheme=http,codec=mjpeg", "need RTSP"),
        ("jpeg_q=100", "1 to 99"),
        ("jpeg_type=2", "0 or 1"),
        ("timeout_s=0", "3600"),
        ("drift_ppm=1e9", "100000"),
        ("other=colour:red", "size:WxH"),
        ("other=codec:vp8", "h264"),
        ("size=big", "WIDTHxHEIGHT"),
        ("codec=mjpeg,size=2048x64", "2040"),
        ("onvif,onvif", "twice"),
    ],
)
def test_traits_that_nobody_can_have_are_refused(text: str, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        made(text)


@given(st.sets(st.sampled_from(sorted(SLOPPY))))
@settings(deadline=None)
def test_bad_manners_are_joined_with_plus(manners: set[str]) -> None:
    assert made(f"sloppy={'+'.join(manners)}").manners == manners
