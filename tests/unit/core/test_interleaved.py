"""Framing of an RTSP connection."""

from __future__ import annotations

import gc
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.rtp import Event, H264Depacketiser, InterleavedError, InterleavedParser
from tests.unit.core.h264_stream import annexb, packetise, slice_nal


def frame(channel: int, packet: bytes) -> bytes:
    return b"$" + bytes([channel]) + len(packet).to_bytes(2, "big") + packet


def message(head: str, body: bytes = b"") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{head}\r\nCSeq: 1\r\n{length}\r\n".encode() + body


def plain(events: list[Event]) -> list[tuple[object, ...]]:
    return [
        ("unit", event[1], event[2].payload, event[2].damaged) if event[0] == "unit" else tuple(event)
        for event in events
    ]


pieces = st.lists(
    st.one_of(
        st.builds(frame, st.integers(1, 5), st.binary(max_size=80)),
        st.sampled_from(
            [
                message("RTSP/1.0 200 OK"),
                message("RTSP/1.0 200 OK", b"v=0\r\n$$$ RTSP/1.0"),
                message("OPTIONS * RTSP/1.0"),
                message("SET_PARAMETER rtsp://c/ RTSP/1.0", b"\r\n\r\n"),
                b"\r\n",
                b"RTSP/1.0 200 OK\nCSeq: 3\n\n",
            ]
        ),
        st.integers(2, 300).map(
            lambda size: b"".join(frame(0, p) for p in packetise([slice_nal(size=size)], 0, size, mtu=60))
        ),
    ),
    max_size=12,
)


@given(parts=pieces, data=st.data())
def test_events_do_not_depend_on_how_the_bytes_arrive(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    whole = InterleavedParser()
    whole.attach(0, H264Depacketiser())
    expected = plain(whole.feed(stream, 1))

    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=20)))
    cut, in_place = InterleavedParser(), InterleavedParser()
    cut.attach(0, H264Depacketiser())
    in_place.attach(0, H264Depacketiser())
    got: list[Event] = []
    got_in_place: list[Event] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += cut.feed(stream[begin:end], 1)
        with in_place.get_buffer() as room:
            room[: end - begin] = stream[begin:end]
        got_in_place += in_place.buffer_updated(end - begin, 1)
    assert plain(got) == plain(got_in_place) == expected
    assert whole.buffered_bytes == cut.buffered_bytes == 0
    assert whole.skipped_bytes == 0


def test_attached_channels_give_units_and_others_packets() -> None:
    parser = InterleavedParser()
    parser.attach(2, H264Depacketiser())
    [packet] = packetise([slice_nal()], 0, 0)
    events = parser.feed(frame(2, packet) + frame(3, b"report") + frame(2, packet[:4]), 77)
    assert plain(events) == [("unit", 2, annexb([slice_nal()]), False), ("packet", 3, b"report")]
    assert events[0][0] == "unit"
    assert events[0][2].monotonic_ns == 77
    parser.attach(2, None)
    assert plain(parser.feed(frame(2, b"x"), 0)) == [("packet", 2, b"x")]


def test_a_message_is_given_without_its_last_empty_line_and_with_its_body() -> None:
    events = InterleavedParser().feed(b"RTSP/1.0 200 OK\r\nCSeq: 2\r\ncontent-LENGTH : 4\r\n\r\nbodyRTSP", 0)
    assert events == [("message", b"RTSP/1.0 200 OK\r\nCSeq: 2\r\ncontent-LENGTH : 4", b"body")]


def test_garbage_between_frames_is_skipped_and_counted() -> None:
    parser = InterleavedParser()
    events = parser.feed(b"\x00\x01garbage" + frame(1, b"one") + b"ok \xff" + message("RTSP/1.0 200 OK"), 0)
    assert [event[0] for event in events] == ["packet", "message"]
    assert parser.skipped_bytes == 13


def test_what_looked_like_a_message_at_first_does_not_hide_the_next() -> None:
    parser = InterleavedParser()
    stream = b"ABCDEFGHIJ" + b"\x00" + message("RTSP/1.0 200 OK") + b"RTSP\x00" + message("OPTIONS * RTSP/1.0", b"body")
    events = [event for i in range(len(stream)) for event in parser.feed(stream[i : i + 1], 0)]
    assert [event[1] for event in events] == [
        b"RTSP/1.0 200 OK\r\nCSeq: 1",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 4",
    ]
    assert parser.skipped_bytes == 16


def test_a_body_that_comes_byte_by_byte_costs_no_second_look_at_its_head() -> None:
    parser = InterleavedParser()
    head = "RTSP/1.0 200 OK\r\n" + "X: y\r\n" * 10_000 + "Content-Length: 100000\r\n\r\n"
    assert parser.feed(head.encode(), 0) == []
    begin = time.process_time()
    events = [event for _ in range(100_000) for event in parser.feed(b"b", 0)]
    # Reading the head again each time would take minutes.
    assert time.process_time() - begin < 10
    assert len(events) == 1


def test_endless_garbage_ends_the_connection() -> None:
    parser = InterleavedParser()
    with pytest.raises(InterleavedError, match="neither RTSP nor"):
        parser.feed(b"\x00" * (40 * 65536), 0)


def test_an_endless_head_ends_the_connection() -> None:
    parser = InterleavedParser()
    with pytest.raises(InterleavedError, match="head is longer"):
        parser.feed(b"RTSP/1.0 200 OK\r\nX: " + b"a" * 65536, 0)


@pytest.mark.parametrize("value", ["-1", "99999999999999999999", "1048577", "4 4", "x", "", "0x10", "\u0664"])
def test_a_senseless_body_length_ends_the_connection(value: str) -> None:
    with pytest.raises(InterleavedError, match="announces a body"):
        InterleavedParser().feed(f"RTSP/1.0 200 OK\r\nContent-Length: {value}\r\n\r\n".encode(), 0)


def test_the_largest_body_is_taken() -> None:
    body = b"x" * (1 << 20)
    parser = InterleavedParser()
    [event] = parser.feed(message("RTSP/1.0 200 OK", body), 0)
    assert event[2] == body
    assert len(parser.get_buffer()) <= 192 << 10


@pytest.mark.parametrize("read", [1000, 50_000, 65_536])
def test_large_frames_survive_moving_inside_the_buffer(read: int) -> None:
    parser = InterleavedParser()
    packets = [bytes([i]) * (65_535 - 7 * i) for i in range(1, 12)]
    stream = b"".join(frame(1, packet) for packet in packets)
    events: list[Event] = []
    for at in range(0, len(stream), read):
        chunk = stream[at : at + read]
        with parser.get_buffer() as room:
            room[: len(chunk)] = chunk
        events += parser.buffer_updated(len(chunk), 0)
    assert [event[2] for event in events] == packets


def test_memory_given_for_a_read_stays_valid() -> None:
    parser = InterleavedParser()
    room = parser.get_buffer()
    parser.feed(message("RTSP/1.0 200 OK", b"x" * 900_000), 0)
    del parser
    gc.collect()
    room[:4] = b"abcd"
    assert bytes(room[:4]) == b"abcd"


def test_more_bytes_than_there_was_room_for_are_refused() -> None:
    parser = InterleavedParser()
    room = len(parser.get_buffer())
    for count in (room + 1, -1):
        with pytest.raises(ValueError, match="room"):
            parser.buffer_updated(count, 0)


@pytest.mark.parametrize("channel", [-1, 256])
def test_channels_have_eight_bits(channel: int) -> None:
    with pytest.raises(ValueError, match="0 to 255"):
        InterleavedParser().attach(channel, H264Depacketiser())


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=50), st.sampled_from([b"$", b"$\x00", b"RTSP/", b"\r\n\r\n", b"Content-Length: 9\r\n"])
        ),
        max_size=40,
    )
)
def test_no_bytes_do_more_than_end_the_connection(parts: list[bytes]) -> None:
    parser = InterleavedParser()
    parser.attach(0, H264Depacketiser())
    try:
        for part in parts:
            parser.feed(part, 0)
    except InterleavedError:
        pass
