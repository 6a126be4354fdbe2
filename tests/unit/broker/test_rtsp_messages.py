"""RTSP messages: what cameras send, well-formed and not."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.rtsp.messages import (
    MalformedMessage,
    Request,
    Response,
    encode_request,
    parse_message,
    session_of,
)


def test_a_response_is_read_with_its_headers_and_body() -> None:
    message = parse_message(b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Length: 4\r\nSession: abc;timeout=30\r\n\r\nv=0\n")
    assert isinstance(message, Response)
    assert (message.status, message.reason, message.cseq, message.body) == (200, "OK", 3, b"v=0\n")
    assert message.headers.get("session") == "abc;timeout=30"


def test_a_header_may_come_several_times() -> None:
    message = parse_message(
        b"RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nwww-authenticate: Digest a=b\r\n\r\n"
    )
    assert message.headers.all("WWW-Authenticate") == ["Basic", "Digest a=b"]


def test_a_folded_header_is_one_value() -> None:
    message = parse_message(b"RTSP/1.0 200 OK\r\nPublic: OPTIONS,\r\n DESCRIBE\r\n\r\n")
    assert message.headers.get("Public") == "OPTIONS, DESCRIBE"


def test_a_request_of_the_camera_is_read() -> None:
    message = parse_message(b"OPTIONS rtsp://client/ RTSP/1.0\r\nCSeq: 9\r\n\r\n")
    assert isinstance(message, Request)
    assert (message.method, message.url, message.cseq) == ("OPTIONS", "rtsp://client/", 9)


def test_what_is_written_is_read_back() -> None:
    written = encode_request("SETUP", "rtsp://h/p", 7, [("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")])
    message = parse_message(written)
    assert isinstance(message, Request)
    assert (message.method, message.url, message.cseq) == ("SETUP", "rtsp://h/p", 7)


@pytest.mark.parametrize("value", ["a\r\nInjected: 1", "a\nb"])
def test_a_line_break_in_a_value_is_refused(value: str) -> None:
    with pytest.raises(MalformedMessage):
        encode_request("OPTIONS", "rtsp://h/", 1, [("X", value)])


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"RTSP/1.0\r\n\r\n",
        b"RTSP/1.0 abc\r\n\r\n",
        b"RTSP/1.0 99999 X\r\n\r\n",
        b"\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
    ],
)
def test_what_is_no_rtsp_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_message(data)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_message_or_a_refusal(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        parse_message(data + b"\r\n\r\n")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12345678", ("12345678", 60.0)),
        ("12345678;timeout=30", ("12345678", 30.0)),
        ("12345678 ; timeout = 90", ("12345678", 90.0)),
        ("12345678;timeout=x", ("12345678", 60.0)),
        ("12345678;timeout=0", ("12345678", 60.0)),
        ("", ("", 60.0)),
    ],
)
def test_a_session_header_gives_id_and_timeout(value: str, expected: tuple[str, float]) -> None:
    assert session_of(value) == expected


def test_a_line_without_a_colon_between_the_headers_is_passed_over() -> None:
    message = parse_message(b"RTSP/1.0 200 OK\r\nno colon here\r\nCSeq: 4\r\n\r\n")
    assert message.cseq == 4


def test_a_bare_carriage_return_ends_a_line_and_never_gets_into_a_request() -> None:
    message = parse_message(b"RTSP/1.0 200 OK\r\nSession: ab\rcd\r\nCSeq: 4\r\n\r\n")
    assert message.headers.get("Session") == "ab"
    assert message.cseq == 4
