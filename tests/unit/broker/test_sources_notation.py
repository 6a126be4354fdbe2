"""What administrators write as a source, and that credentials never come out again."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.sources.notation import FileSource, RtspSource, parse_source
from mesh.errors import InvalidArgument


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
