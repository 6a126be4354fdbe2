"""The connection against any bytes at all: it fails, or goes on, and never raises."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core import H264Depacketiser
from broker.errors import SourceFailure, SourceSpokeNonsense, SourceUnreachable, StreamMoved
from broker.rtsp.connection import RtspConnection
from broker.sources.notation import RtspSource, parse_source
from mesh.clocks import ManualClock

PIECES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n",
            b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 5\r\n\r\nabcde",
            b"OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n",
            b"TEARDOWN * RTSP/1.0\r\nCSeq: 8\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"$\x00\x00\x10" + b"\x80\xe0\x00\x01" + bytes(12),
            b"$\x01\x00\x04\x80\xc8\x00\x06",
            b"$\x02\x00\x00",
        ]
    ),
)


def source() -> RtspSource:
    parsed = parse_source("rtsp://gate.example/live")
    assert isinstance(parsed, RtspSource)
    return parsed


def give(connection: RtspConnection, data: bytes) -> None:
    while data:
        buffer = connection.get_buffer(-1)
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        connection.buffer_updated(count)
        data = data[count:]


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12), st.lists(st.integers(1, 50), min_size=1, max_size=12))
def test_any_bytes_in_any_portions_give_a_failure_or_nothing(pieces: list[bytes], cuts: list[int]) -> None:
    async def run() -> None:
        connection = RtspConnection(source(), ManualClock(), 1.0)
        connection.attach(0, H264Depacketiser(), lambda unit: None, lambda channel, packet: None)
        data = b"".join(pieces)
        index = 0
        while data and not connection.failure.done():
            count = cuts[index % len(cuts)]
            give(connection, data[:count])
            data, index = data[count:], index + 1
        connection.connection_lost(None)
        failure = connection.failure.result()
        assert isinstance(failure, SourceFailure)
        assert "internal fault" not in str(failure)

    asyncio.run(run())


async def test_a_fault_of_ours_ends_this_connection_only() -> None:
    connection = RtspConnection(source(), ManualClock(), 1.0)

    def broken(channel: int, packet: bytes) -> None:
        raise ZeroDivisionError

    connection.attach(0, H264Depacketiser(), lambda unit: None, broken)
    give(connection, b"$\x01\x00\x01\x00")
    assert "internal fault (ZeroDivisionError)" in str(connection.failure.result())


async def test_a_peer_of_another_kind_is_told_by_its_first_words() -> None:
    connection = RtspConnection(source(), ManualClock(), 1.0)
    give(connection, b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n")
    failure = connection.failure.result()
    assert isinstance(failure, SourceSpokeNonsense)
    assert "'HTTP/1.1 400 Bad Request'" in str(failure)


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 5), "peername": ("127.0.0.2", 554)})
        self.written = b""
        self.was_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.was_aborted

    def abort(self) -> None:
        self.was_aborted = True


@pytest.mark.parametrize("cseq", ["", "CSeq: 77\r\n", "CSeq: x\r\n", "cseq : 1\r\n"])
async def test_an_answer_under_no_or_another_number_is_that_of_the_one_request(cseq: str) -> None:
    connection = RtspConnection(source(), ManualClock(), 5.0)
    connection.connection_made(Wire())
    asking = asyncio.ensure_future(connection.exchange("OPTIONS", "rtsp://gate.example/live", []))
    await asyncio.sleep(0)
    give(connection, f"RTSP/1.0 404 Not Found\r\n{cseq}\r\n".encode())
    assert (await asking).status == 404


async def test_an_answer_that_comes_too_late_is_not_taken_for_that_of_the_next_request() -> None:
    connection = RtspConnection(source(), ManualClock(), 0.05)
    connection.connection_made(Wire())
    with pytest.raises(SourceUnreachable, match="did not answer OPTIONS"):
        await connection.exchange("OPTIONS", "rtsp://gate.example/live", [])
    asking = asyncio.ensure_future(connection.exchange("DESCRIBE", "rtsp://gate.example/live", []))
    await asyncio.sleep(0)
    give(connection, b"RTSP/1.0 200 Late\r\nCSeq: 1\r\n\r\nRTSP/1.0 404 Right\r\nCSeq: 2\r\n\r\n")
    assert (await asking).reason == "Right"


@pytest.mark.parametrize(
    ("header", "location"), [("Location: rtsp://u:hidden@other/x\r\n", "rtsp://u:hidden@other/x"), ("", "")]
)
async def test_a_camera_that_sends_us_elsewhere_is_answered_and_left(header: str, location: str) -> None:
    connection, wire = RtspConnection(source(), ManualClock(), 1.0), Wire()
    connection.connection_made(wire)
    give(connection, f"REDIRECT rtsp://gate.example/live RTSP/1.0\r\nCSeq: 3\r\n{header}\r\n".encode())
    failure = connection.failure.result()
    assert isinstance(failure, StreamMoved)
    assert failure.location == location
    assert "hidden" not in str(failure)
    assert wire.written.startswith(b"RTSP/1.0 200 OK\r\nCSeq: 3")
    assert wire.was_aborted
    with pytest.raises(StreamMoved) as caught:
        await connection.exchange("TEARDOWN", "rtsp://gate.example/live", [])
    assert caught.value.location == location, "whoever is asking meanwhile learns where to"


async def test_a_tls_server_behind_rtsp_is_told_as_one() -> None:
    connection = RtspConnection(source(), ManualClock(), 1.0)
    give(connection, bytes.fromhex("15030300020246"))
    connection.connection_lost(None)
    assert "Try rtsps://" in str(connection.failure.result())


async def test_a_peer_that_closes_without_a_word_may_want_tls() -> None:
    connection = RtspConnection(source(), ManualClock(), 1.0)
    connection.connection_lost(None)
    assert "some cameras want rtsps://" in str(connection.failure.result())
