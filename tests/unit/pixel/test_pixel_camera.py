"""One camera's thread and its inbox: epochs, gaps, age, failures. Units are real H.264, the clock is turned by hand."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache

import av
import numpy as np
import pytest

from broker.client import BatchReader, WireFrame, encode_frame
from broker.pixel import camera, ring_layout
from broker.pixel.camera import CameraDecoder
from broker.pixel.decode import NotDecoded, Outcome, StreamDecoder, Unit
from broker.pixel.hardware import SOFTWARE, Hardware
from broker.pixel.inbox import Dropped, Inbox
from broker.pixel.outlet import Budget, Outlet
from broker.pixel.picture import MissingReason
from broker.pixel.pins import PinRow
from broker.pixel.plane_board import PlaneBoard
from broker.pixel.ring_mapping import RingMapping
from broker.pixel.ring_writer import RingWriter
from broker.pixel.thumbnails import Size, ThumbnailBoard
from mesh.clocks import ManualClock
from mesh.errors import TrueframeError
from tests.support import until
from trueframe.v1 import frames_pb2

GOP = 10
SECOND = 1_000_000_000


@cache
def payloads(count: int, width: int = 96) -> Sequence[tuple[bytes, bool]]:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, 64, "yuv420p", Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": f"keyint={GOP}:scenecut=0"}
    packets = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((96, width), 20 + number, np.uint8), format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return [(bytes(packet), bool(packet.is_keyframe)) for packet in packets]


def unit(
    seq: int,
    epoch: int = 1,
    monotonic_ns: int = 0,
    width: int = 96,
    payload: bytes | None = None,
    damaged: bool = False,
) -> WireFrame:
    data, key = payloads(60, width)[seq]
    join = frames_pb2.JOIN_POINT_EXACT if key else frames_pb2.JOIN_POINT_NONE
    encoded = encode_frame(
        "gate", epoch, seq, 5000 + seq, monotonic_ns, None, None, None, join, 0, damaged, False, None, payload or data
    )
    (item,) = BatchReader(encoded)
    assert isinstance(item, WireFrame)
    return item


class Seat:
    """A reader that keeps what it is given."""

    wants_pins = False

    def __init__(self) -> None:
        self.mappings: list[RingMapping] = []
        self.errors: list[TrueframeError] = []

    def wake(self) -> None:
        pass

    def offer(self, writer: RingWriter, row: PinRow | None) -> None:
        self.mappings.append(RingMapping(writer.fd))

    def refuse(self, error: TrueframeError) -> None:
        self.errors.append(error)

    @property
    def records(self) -> list[tuple[int, ...]]:
        found = [mapping.record(n) for mapping in self.mappings for n in range(mapping.head)]
        return [record for record in found if record is not None]

    @property
    def told(self) -> list[tuple[int, int, str]]:
        """(epoch, seq, "shown" or the reason), each frame apart."""
        return [
            (r[4], seq, "shown" if r[0] == ring_layout.PICTURE else MissingReason(r[1]).name)
            for r in self.records
            for seq in range(r[5], r[6] + 1)
        ]


class Bench:
    """A camera decoder with one seat."""

    def __init__(self, hardware: Hardware = SOFTWARE) -> None:
        self.clock = ManualClock(monotonic_ns=100 * SECOND)
        self.seat = Seat()
        self.outlet = Outlet("gate", 4, Budget(1 << 30), 1)
        self.outlet.add(self.seat)
        self.wakes: list[None] = []
        self.board = ThumbnailBoard("gate", lambda: self.wakes.append(None))
        self.plane_board = PlaneBoard("gate", Budget(1 << 30))
        self.decoder = CameraDecoder(
            "gate", self.outlet, self.board, self.plane_board, self.clock, same_machine=True, hardware=hardware
        )
        self.decoder.start()
        # What was received before this moment is backlog, and a matter of its own test.
        self.clock.advance(10)

    def epoch(self, epoch: int = 1, codec: int = frames_pb2.CODEC_H264, width: int = 96) -> None:
        self.decoder.put(frames_pb2.EpochStarted(camera="gate", epoch=epoch, codec=codec, width=width, height=64))

    def put(self, seqs: Sequence[int], epoch: int = 1, age_s: float = 0.0, width: int = 96) -> None:
        for seq in seqs:
            self.decoder.put(unit(seq, epoch, self.clock.monotonic_ns() - int(age_s * SECOND), width))

    def told(self, count: int) -> list[tuple[int, int, str]]:
        until(lambda: len(self.seat.told) >= count, 10, f"{count} frames told; got {self.seat.told}")
        return self.seat.told


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.decoder.stop()
    bench.outlet.remove(bench.seat)
    gc.collect()


def test_frames_become_pictures_in_the_ring(bench: Bench) -> None:
    bench.epoch()
    bench.put(range(20))
    assert bench.told(20) == [(1, seq, "shown") for seq in range(20)]
    assert bench.decoder.figures.pictures == 20
    assert (bench.decoder.figures.width, bench.decoder.figures.height) == (96, 64)


def test_a_gpu_that_cannot_be_had_is_replaced_by_software_and_told() -> None:
    # As if the check had been passed. Where there is no GPU, opening the decoder fails for real.
    bench = Bench(Hardware(frozenset({"h264"}), {}, is_asked_for=True))
    try:
        bench.epoch()
        bench.put(range(20))
        assert bench.told(20) == [(1, seq, "shown") for seq in range(20)]
        figures = bench.decoder.figures
        if "h264 cuvid" not in figures.decoder:
            assert "cuvid not used: the GPU cannot be had" in figures.decoder
            assert "asks for cuvid" in figures.problem
    finally:
        bench.decoder.stop()
        bench.outlet.remove(bench.seat)


def test_a_decoder_that_only_fails_on_the_gpu_goes_on_in_software(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(StreamDecoder):
        """On hardware every unit is refused, as by a driver that lost its device."""

        def __init__(self, codec: int, last_seq: int = -1, *, on_hardware: bool = False) -> None:
            super().__init__(codec, last_seq)
            self.is_hardware = on_hardware

        def feed(self, unit: Unit) -> list[Outcome]:
            if not self.is_hardware:
                return super().feed(unit)
            self._last_seq = unit.seq
            return [NotDecoded(unit.seq, unit.seq, MissingReason.DECODE_FAILED)]

    monkeypatch.setattr(camera, "StreamDecoder", Broken)
    bench = Bench(Hardware(frozenset({"h264"}), {}, is_asked_for=False))
    try:
        bench.epoch()
        bench.put(range(60))
        # What failed came before the first picture ever: nobody's business.
        assert bench.told(10) == [(1, seq, "shown") for seq in range(50, 60)]
        assert "cuvid not used: 50 units failed" in bench.decoder.figures.decoder
    finally:
        bench.decoder.stop()
        bench.outlet.remove(bench.seat)


def test_a_format_that_is_refused_is_told_with_its_name_until_pictures_come_again(bench: Bench) -> None:
    encoder = av.CodecContext.create("libx264rgb", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 96, 64, "rgb24", Fraction(1, 25)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "keyint=1"}
    frames = [av.VideoFrame.from_ndarray(np.full((64, 96, 3), 9 * n, np.uint8), format="rgb24") for n in range(3)]
    coded = [bytes(packet) for frame in frames for packet in encoder.encode(frame)]
    bench.epoch()
    bench.put([0])
    bench.told(1)
    now_ns = bench.clock.monotonic_ns()
    for seq, payload in enumerate(coded, 1):
        bench.decoder.put(replace_payload(seq, now_ns, payload))
    assert [how for _, _, how in bench.told(4)] == ["shown"] + ["DECODE_FAILED"] * 3
    until(lambda: "gbrp" in bench.decoder.figures.problem, 10)
    bench.put(range(10, 12))
    until(lambda: bench.told(12)[-1] == (1, 11, "shown"), 10)
    assert bench.decoder.figures.problem == ""


def replace_payload(seq: int, monotonic_ns: int, payload: bytes) -> WireFrame:
    """A join point with bytes of another encoder."""
    exact = frames_pb2.JOIN_POINT_EXACT
    encoded = encode_frame(
        "gate", 1, seq, 5000 + seq, monotonic_ns, None, None, None, exact, 0, False, False, None, payload
    )
    (item,) = BatchReader(encoded)
    assert isinstance(item, WireFrame)
    return item


def test_a_late_start_says_nothing_of_earlier_frames_and_a_later_epoch_is_told_from_zero(bench: Bench) -> None:
    bench.epoch(1)
    bench.put(range(10, 15), epoch=1)
    bench.epoch(2)
    bench.put(range(10, 13), epoch=2)
    assert bench.told(18) == [
        *[(1, seq, "shown") for seq in range(10, 15)],
        *[(2, seq, "NOT_RECEIVED") for seq in range(10)],
        *[(2, seq, "shown") for seq in range(10, 13)],
    ]


def test_frames_that_an_epochs_end_names_and_nobody_sent_are_told(bench: Bench) -> None:
    bench.epoch()
    bench.put(range(5))
    bench.decoder.put(frames_pb2.EpochEnded(camera="gate", epoch=1, last_seq=7))
    assert bench.told(8)[5:] == [(1, seq, "NOT_RECEIVED") for seq in (5, 6, 7)]


def test_a_gap_is_told_and_decoding_goes_on_at_a_join_point(bench: Bench) -> None:
    bench.epoch()
    bench.put([*range(5), *range(8, 22)])
    told = bench.told(22)
    assert {seq: how for _, seq, how in told if how != "shown"} == {
        5: "NOT_RECEIVED", 6: "NOT_RECEIVED", 7: "NOT_RECEIVED", 8: "BEFORE_JOIN_POINT", 9: "BEFORE_JOIN_POINT",
    }  # fmt: skip
    assert sorted(seq for _, seq, _ in told) == list(range(22))


def test_pictures_older_than_the_bound_are_decoded_and_not_shown(bench: Bench) -> None:
    bench.epoch()
    bench.put(range(5), age_s=1.5)
    bench.put(range(5, 8), age_s=0.2)
    assert [how for _, _, how in bench.told(8)] == ["TOO_OLD"] * 5 + ["shown"] * 3


def test_of_what_was_there_before_only_the_newest_picture_is_shown(bench: Bench) -> None:
    bench.epoch()
    with bench.decoder._inbox._changed:
        bench.put(range(10, 18), age_s=10.5)
    assert bench.told(1) == [(1, 17, "TOO_OLD")]
    bench.put(range(18, 20))
    assert bench.told(3)[1:] == [(1, 18, "shown"), (1, 19, "shown")]
    assert bench.seat.records[-1][9] == 19, "all before is settled"
    assert bench.decoder.figures.pictures == 10


def test_what_is_too_old_is_left_out_up_to_a_newer_join_point(bench: Bench) -> None:
    # All in the queue before the thread looks: put while it waits for the first take.
    inbox_units = [unit(seq, 1, bench.clock.monotonic_ns() - 2 * SECOND) for seq in range(30)]
    bench.epoch()
    bench.decoder._in_backlog = False
    with bench.decoder._inbox._changed:
        for item in inbox_units:
            bench.decoder._inbox.put(item)
    told = bench.told(30)
    assert {how for _, seq, how in told if seq < 20} == {"THINNED"}
    assert {how for _, seq, how in told if seq >= 20} == {"TOO_OLD"}
    assert bench.decoder.figures.skipped_frames == 20


def test_an_unknown_codec_tells_every_frame_and_a_later_epoch_is_well(bench: Bench) -> None:
    bench.epoch(1, codec=77)
    bench.put(range(5), epoch=1)
    bench.epoch(2)
    bench.put(range(5), epoch=2)
    assert bench.told(10) == [(1, s, "DECODE_FAILED") for s in range(5)] + [(2, s, "shown") for s in range(5)]


def test_noise_is_told_and_the_next_join_point_is_well(bench: Bench) -> None:
    bench.epoch()
    bench.put(range(3))
    for seq in range(3, 10):
        bench.decoder.put(unit(seq, 1, bench.clock.monotonic_ns(), payload=b"\0\0\0\1\x65" + bytes(range(256)) * 4))
    bench.put(range(10, 20))
    told = bench.told(20)
    assert sorted(seq for _, seq, _ in told) == list(range(20))
    assert [how for _, seq, how in told if seq >= 10] == ["shown"] * 10


def test_another_size_in_a_new_epoch_makes_a_new_generation(bench: Bench) -> None:
    bench.epoch(1)
    bench.put(range(3))
    bench.epoch(2, width=128)
    bench.put(range(3), epoch=2, width=128)
    bench.told(6)
    assert [(m.generation, m.width) for m in bench.seat.mappings] == [(1, 96), (2, 128)]
    assert bench.seat.mappings[0].state == ring_layout.SUPERSEDED


def test_a_damaged_parameter_set_does_not_make_a_new_ring(bench: Bench) -> None:
    bench.epoch()
    bench.put(range(10))
    bench.decoder.put(unit(10, 1, bench.clock.monotonic_ns(), width=128, damaged=True))
    bench.put(range(20, 25))
    told = bench.told(25)
    assert told[10] == (1, 10, "DECODE_FAILED")
    assert told[20:] == [(1, seq, "shown") for seq in range(20, 25)]
    assert len(bench.seat.mappings) == 1


def test_small_pictures_are_made_while_somebody_wants_them(bench: Bench) -> None:
    size = Size(48, 48)
    bench.board.want(size, 60.0)
    bench.epoch()
    bench.put(range(1))
    until(lambda: bench.board.newest(size), 10)
    newest = bench.board.newest(size)
    assert newest is not None
    assert (newest.width, newest.height, len(newest.rgb), newest.id.seq) == (48, 32, 48 * 32 * 3, 0)
    bench.board.unwant(size, 60.0)
    assert bench.board.newest(size) is None
    wakes = len(bench.wakes)
    bench.put(range(1, 6))
    bench.told(6)
    assert len(bench.wakes) == wakes


def test_the_next_picture_can_be_asked_for_once(bench: Bench) -> None:
    bench.epoch()
    got: list[int] = []
    bench.decoder.next_picture(lambda planes, frame_id, received_ns, inexact: got.append(frame_id.seq))
    forget = bench.decoder.next_picture(lambda *_: got.append(-1))
    forget()
    forget()
    bench.put(range(4))
    bench.told(4)
    assert got == [0]


def test_an_overflowing_inbox_drops_whole_runs_and_tells_them() -> None:
    inbox = Inbox(max_items=12)
    for seq in range(30):
        inbox.put(unit(seq))
    taken = []
    while len(taken) < 12 and inbox._items:
        taken.append(inbox.take())
    assert taken[0] == (Dropped(1, 19), True)
    assert [item.seq for item, _ in taken[1:] if isinstance(item, WireFrame)] == list(range(20, 30))
    assert [newer for _, newer in taken[1:]] == [False] * 10
    assert inbox.dropped_frames == 20


def test_an_overflowing_inbox_keeps_the_beginnings_of_epochs() -> None:
    inbox = Inbox(max_items=8)
    inbox.put(frames_pb2.EpochStarted(camera="gate", epoch=1))
    for seq in range(15):
        inbox.put(unit(seq))
    first, second = inbox.take()[0], inbox.take()[0]
    assert isinstance(first, frames_pb2.EpochStarted)
    assert second == Dropped(1, 9)


def test_one_unit_larger_than_the_inbox_passes() -> None:
    inbox = Inbox(max_bytes=100)
    inbox.put(unit(0, payload=b"\0\0\0\1\x65" + b"x" * 5000))
    item, _ = inbox.take()
    assert isinstance(item, WireFrame)
    inbox.close()
    assert inbox.take() == (None, False)
