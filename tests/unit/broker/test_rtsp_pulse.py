"""What is looked at once a second while a camera plays; times by hand, packets as they come."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from broker.core import Hub
from broker.epochs import EpochBook
from broker.errors import SourceFailure, SourceRefused, SourceUnreachable
from broker.feed import Feed
from broker.rtsp.pulse import Pulse
from broker.rtsp.receiver import Receiver
from broker.rtsp.session import VideoStream
from mesh.clocks import ManualClock
from tests.unit.core.h264_stream import rtp
from trueframe.v1.frames_pb2 import CODEC_MJPEG

GOODBYE = b"\x81\xcb\x00\x01" + (7).to_bytes(4, "big")
PIECE = b"\x7c\x41" + bytes(20)  # The middle of a fragmented unit that never ends.
WHOLE = b"\x41\x9a" + bytes(20)


class NoEpochs:
    async def load(self) -> dict[str, int]:
        return {}

    async def save(self, last: object) -> None:
        return None


class Playing:
    """A camera that plays into a real feed."""

    def __init__(self, feed: Feed, receiver: Receiver, clock: ManualClock) -> None:
        self.feed, self.receiver, self.clock = feed, receiver, clock
        self.failures: list[SourceFailure] = []
        self.reports: list[bytes] = []
        feed.on_failure = self.failures.append
        self.pulse = Pulse("camera", feed, receiver)
        self._sequence = 0

    def give(self, payload: bytes, skip: int = 0, marker: bool = False) -> None:
        self._sequence += 1 + skip
        packet = rtp(payload, self._sequence, 0 if not marker else self._sequence * 90, marker=marker, ssrc=7)
        for unit in self.receiver.depacketiser.feed(packet, self.clock.monotonic_ns()):
            self.receiver.unit(unit)

    def look(self) -> None:
        self.clock.advance(1)
        self.pulse.look()


@pytest.fixture
async def playing() -> Playing:
    clock, hub = ManualClock(), Hub()
    hub.ring("gate")
    feed = Feed("gate", hub, EpochBook(NoEpochs(), clock), clock, *[lambda *_: None] * 4)
    stream = VideoStream(90000, 96, 0, 1, b"", frozenset(), 60.0)
    ingest = await feed.open_epoch((1, 90000), b"")
    reports: list[bytes] = []
    found = Playing(feed, Receiver(stream, ingest, feed.counters, reports.append), clock)
    found.reports = reports
    return found


async def test_packets_are_a_sign_of_life_before_they_make_a_unit(playing: Playing) -> None:
    before = playing.feed.last_sign_ns
    playing.give(PIECE)
    playing.look()
    assert playing.feed.last_sign_ns > before
    seen = playing.feed.last_sign_ns
    playing.look()
    assert playing.feed.last_sign_ns == seen, "no packet, no sign"


async def test_packets_that_never_make_a_picture_are_refused_after_half_a_minute(playing: Playing) -> None:
    for _ in range(30):
        playing.give(PIECE)
        playing.look()
    assert not playing.failures
    playing.give(PIECE)
    playing.look()
    assert isinstance(playing.failures[0], SourceRefused)
    assert "no picture among them" in str(playing.failures[0])


async def test_units_that_cannot_be_decoded_yet_are_pictures_all_the_same(playing: Playing) -> None:
    for _ in range(60):
        playing.give(WHOLE, marker=True)
        playing.look()
    assert not playing.failures
    assert playing.feed.counters.units_before_parameter_sets == 60


async def test_a_stream_of_another_type_than_described_is_told_as_that(playing: Playing) -> None:
    for number in range(25):
        playing.receiver.depacketiser.feed(rtp(WHOLE, number, 0, kind=97), 0)
    playing.look()
    assert "another payload type" in str(playing.failures[0])


async def test_a_goodbye_ends_the_stream_unless_packets_follow_it(playing: Playing) -> None:
    playing.give(WHOLE, marker=True)
    playing.receiver.report(GOODBYE)
    playing.give(WHOLE, marker=True)
    playing.look()
    playing.look()
    assert not playing.failures, "some say goodbye when they change what they send"
    playing.receiver.report(GOODBYE)
    playing.look()
    assert isinstance(playing.failures[0], SourceUnreachable)


async def test_a_goodbye_of_somebody_else_means_nothing(playing: Playing) -> None:
    playing.give(WHOLE, marker=True)
    playing.receiver.report(GOODBYE[:4] + (8).to_bytes(4, "big"))
    playing.look()
    playing.look()
    assert not playing.failures


async def test_what_was_lost_is_added_to_the_camera_over_all_its_connections(playing: Playing) -> None:
    playing.feed.counters.packets_lost = 5
    playing.give(WHOLE, marker=True)
    playing.give(WHOLE, skip=3, marker=True)
    playing.look()
    playing.look()
    assert playing.feed.counters.packets_lost == 8


async def test_a_report_is_sent_every_five_seconds_even_to_a_camera_that_sends_none(playing: Playing) -> None:
    for _ in range(10):
        playing.look()
    assert playing.reports == [], "nobody to report of"
    playing.give(WHOLE, marker=True)
    for _ in range(10):
        playing.look()
    assert len(playing.reports) == 2
    assert playing.reports[0][8:12] == (7).to_bytes(4, "big"), "about the camera's stream"


def jpeg(shade: int) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1, 1)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return buffer.getvalue()


async def test_a_motion_jpeg_camera_that_repeats_itself_is_told_as_frozen_and_as_moving_again() -> None:
    clock, hub = ManualClock(), Hub()
    hub.ring("gate")
    feed = Feed("gate", hub, EpochBook(NoEpochs(), clock), clock, *[lambda *_: None] * 4)
    told: list[bool] = []
    feed.on_frozen = told.append
    ingest = await feed.open_epoch((1, 90000), b"", CODEC_MJPEG)
    same, other = jpeg(30), jpeg(200)
    for second in range(12):
        clock.advance(1)
        ingest.unit(same, second * 90000, False, False, clock.monotonic_ns(), None, None)
    assert told == [True]
    ingest.unit(other, 13 * 90000, False, False, clock.monotonic_ns(), None, None)
    assert told == [True, False]
