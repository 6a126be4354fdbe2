"""What administrators write as a source, and that credentials never come out again."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.sources.notation import (
    FileSource,
    HttpSource,
    RtspSource,
    parse_fingerprint,
    parse_source,
    show_fingerprint,
)
from mesh.errors import InvalidArgument
from mesh.redact import redact_url
from trueframe.v1.cameras_pb2 import TRANSPORT_TCP, TRANSPORT_UDP


def quote_all(text: str) -> str:
    return quote(f"Zq{text}", safe="")


def test_credentials_are_taken_out_of_the_url() -> None:
    source = parse_source("rtsp://admin:s3cret@10.0.0.7:8554/live?channel=1")
    assert isinstance(source, RtspSource)
    assert (source.url, source.host, source.port) == ("rtsp://10.0.0.7:8554/live?channel=1", "10.0.0.7", 8554)
    assert source.credentials is not None
    assert (source.credentials.user, source.credentials.password) == ("admin", "s3cret")
    assert "s3cret" not in repr(source)


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("rtsp://u:p@ss@host/x", "p@ss"),
        ("rtsp://u:p%40ss@host/x", "p@ss"),
        ("rtsp://u:p/a?b#c@host/x", "p/a?b#c"),
        ("rtsp://u:@host/x", ""),
    ],
)
def test_passwords_may_hold_any_character(text: str, password: str) -> None:
    source = parse_source(text)
    assert isinstance(source, RtspSource)
    assert source.credentials is not None
    assert (source.credentials.password, source.host) == (password, "host")


def test_ports_and_addresses_are_read() -> None:
    plain, six = parse_source("RTSP://Host/x"), parse_source("rtsp://[::1]:8554/x")
    assert isinstance(plain, RtspSource)
    assert isinstance(six, RtspSource)
    assert (plain.host, plain.port) == ("host", 554)
    assert (six.host, six.port) == ("::1", 8554)


def test_files_are_named_by_path_or_url() -> None:
    assert parse_source("clips/a.mp4") == FileSource(Path("clips/a.mp4"), False)
    assert parse_source("file:///clips/a%20b.mp4?loop=1") == FileSource(Path("/clips/a b.mp4"), True)
    assert parse_source("/clips/a.mp4?loop=1") == FileSource(Path("/clips/a.mp4"), True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("ftp://u:topsecret@host/x", "unknown scheme ftp://"),
        ("rtsp://", "names no host"),
        ("rtsp://:8554/x", "names no host"),
        ("rtsp://host:99999/x", "malformed host or port"),
        ("rtsp://host:abc/x", "malformed host or port"),
        ("file://server/x.mp4", "another host"),
        ("a.mp4?speed=2", "unknown option"),
        ("a.mp4?loop=maybe", "loop=maybe"),
        ("rtsp://host/a\nb", "control character"),
    ],
)
def test_an_ill_formed_source_is_refused_with_reason_and_remedy(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_source(text)
    assert reason in str(caught.value)
    assert caught.value.remedy
    assert "topsecret" not in str(caught.value)


def test_encrypted_rtsp_has_a_port_of_its_own_and_goes_by_tcp() -> None:
    source = parse_source("RTSPS://u:p@cam/live", tls_sha256="AB:" * 31 + "ab")
    assert isinstance(source, RtspSource)
    assert (source.url, source.port, source.is_tls) == ("rtsps://cam/live", 322, True)
    assert (source.transport, source.tls_sha256) == (TRANSPORT_TCP, "ab" * 32)


@pytest.mark.parametrize(
    ("text", "port", "is_tls", "target"),
    [
        ("http://cam/mjpg/video.cgi?res=640x480", 80, False, "/mjpg/video.cgi?res=640x480"),
        ("https://u:p%40ss@cam:8443", 8443, True, "/"),
        ("http://[::1]:8080/a%20b", 8080, False, "/a%20b"),
        ("http://cam/a b", 80, False, "/a%20b"),
    ],
)
def test_motion_jpeg_comes_over_http(text: str, port: int, is_tls: bool, target: str) -> None:
    source = parse_source(text)
    assert isinstance(source, HttpSource)
    assert (source.port, source.is_tls, source.target) == (port, is_tls, target)
    assert "p%40ss" not in source.url
    assert "p@ss" not in repr(source)


def test_an_interface_may_be_named_with_a_link_local_address() -> None:
    source = parse_source("rtsp://[fe80::1%25eth0]:8554/x")
    assert isinstance(source, RtspSource)
    assert source.host == "fe80::1%eth0"


def test_an_at_sign_in_the_path_is_no_login() -> None:
    source = parse_source("rtsp://10.0.0.7:8554/live@home")
    assert isinstance(source, RtspSource)
    assert (source.host, source.credentials) == ("10.0.0.7", None)


def test_a_user_without_a_password_is_one() -> None:
    source = parse_source("rtsp://guard@cam/x")
    assert isinstance(source, RtspSource)
    assert source.credentials is not None
    assert (source.credentials.user, source.credentials.password) == ("guard", "")


@pytest.mark.parametrize(
    ("text", "transport", "pin", "reason"),
    [
        ("rtsps://cam/x", TRANSPORT_UDP, "", "outside the encryption"),
        ("rtsp://cam/x", TRANSPORT_TCP, "ab" * 32, "not encrypted"),
        ("http://cam/x", TRANSPORT_TCP, "ab" * 32, "not encrypted"),
        ("clip.mp4", TRANSPORT_TCP, "ab" * 32, "not encrypted"),
        ("rtsps://cam/x", TRANSPORT_TCP, "abc", "not 64 hexadecimal digits"),
        ("rtsp://fe80::1/x", TRANSPORT_TCP, "", "without brackets"),
        ("rtsp://cam:0/x", TRANSPORT_TCP, "", "malformed host or port"),
        ("rtsp://[::1/x", TRANSPORT_TCP, "", "malformed host or port"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_what_helps(
    text: str, transport: int, pin: str, reason: str
) -> None:
    with pytest.raises(InvalidArgument, match=reason) as caught:
        parse_source(text, transport, pin)  # type: ignore[arg-type]
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["AB:CD:" * 16, "abcd" * 16, "SHA256:" + "ab cd " * 16, "ab-cd-" * 16])
def test_a_fingerprint_is_read_as_people_write_it(text: str) -> None:
    assert parse_fingerprint(text) == "abcd" * 16
    assert parse_fingerprint(show_fingerprint("abcd" * 16)) == "abcd" * 16


schemes = st.sampled_from(["rtsp", "rtsps", "http", "https"])
secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=20).map(quote_all)


@given(schemes, secrets)
def test_no_password_of_any_shape_is_left_in_what_is_shown(scheme: str, secret: str) -> None:
    text = f"{scheme}://guard:{secret}@10.0.0.7:9000/live"
    source = parse_source(text)
    assert isinstance(source, RtspSource | HttpSource)
    assert source.credentials is not None
    for shown in (source.url, repr(source), redact_url(text), source.thing):
        assert secret not in shown
        assert source.credentials.password not in shown
