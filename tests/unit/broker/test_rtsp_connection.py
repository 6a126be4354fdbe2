"""The connection against any bytes at all: it fails, or goes on, and never raises."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core import H264Depacketiser
from broker.errors import SourceFailure, SourceSpokeNonsense
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
