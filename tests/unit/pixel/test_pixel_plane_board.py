"""Planes for remote readers: packed once, the newest kept, memory out of one budget, a rate that is kept."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.pixel.beat import Beat
from broker.pixel.covering import Views
from broker.pixel.outlet import Budget
from broker.pixel.picture import remote_picture
from broker.pixel.plane_board import PackedPicture, PlaneBoard, PlaneSeat, PlaneSize, with_left_out
from broker.pixel.planes import Planes, planes_of
from mesh.errors import DataLoss, ResourceExhausted
from mesh.ids import FrameId
from trueframe.v1 import pixels_pb2

FULL = PlaneSize(0, 0)
BYTES = 33 * 17 + 2 * 17 * 9


def planes(value: int, width: int = 33, height: int = 17) -> Planes:
    frame = av.VideoFrame(width, height, "yuvj420p")
    rng = np.random.default_rng(value)
    for plane in frame.planes:
        memoryview(plane).cast("B")[:] = rng.integers(0, 256, plane.buffer_size, np.uint8).tobytes()
    return planes_of(frame)


def show(board: PlaneBoard, seq: int, width: int = 33) -> Planes:
    shown = planes(seq, width)
    board.picture(Views(shown), FrameId("gate", 7, seq), 1000 + seq, 2000 + seq, seq % 2 == 1)
    return shown


def taken(seat: PlaneSeat) -> PackedPicture:
    picture = seat.newest()
    assert picture is not None
    return picture


def test_a_packed_picture_is_the_message_with_the_very_planes() -> None:
    board = PlaneBoard("gate", Budget(1 << 20))
    seat = board.want(FULL, 0, lambda: None)
    shown = show(board, 3)
    message = pixels_pb2.StreamPixelsResponse.FromString(with_left_out(taken(seat).message, 300))
    picture = remote_picture(message)
    assert (picture.id, picture.received_ns, picture.monotonic_ns) == (FrameId("gate", 7, 3), 1003, 2003)
    assert (picture.width, picture.height, picture.left_out) == (33, 17, 300)
    assert (picture.inexact, picture.full_range, picture.bt709) == (True, True, False)
    for mine, its in zip((picture.y, picture.u, picture.v), shown.views(), strict=True):
        assert np.array_equal(mine, its)
        assert not mine.flags.writeable
    assert picture.still_valid()
    assert with_left_out(b"x", 0) == b"x"


def test_nv12_from_the_wire_is_read_as_the_same_planes() -> None:
    y, u, v = planes(1).views()
    pairs = np.stack([u, v], axis=2)
    message = pixels_pb2.StreamPixelsResponse(
        width=33, height=17, format=pixels_pb2.PIXEL_FORMAT_NV12, planes=y.tobytes() + pairs.tobytes()
    )
    picture = remote_picture(message)
    assert np.array_equal(picture.y, y)
    assert np.array_equal(picture.u, u)
    assert np.array_equal(picture.v, v)


@pytest.mark.parametrize(
    "change", [{"planes": b"123"}, {"format": 0}, {"format": 9}, {"width": 0}, {"width": 1 << 20}, {"height": 16}]
)
def test_a_message_whose_planes_do_not_fit_is_refused(change: dict[str, object]) -> None:
    fields = {"width": 33, "height": 17, "format": pixels_pb2.PIXEL_FORMAT_I420, "planes": bytes(BYTES), **change}
    with pytest.raises(DataLoss):
        remote_picture(pixels_pb2.StreamPixelsResponse(**fields))  # type: ignore[arg-type]


def test_a_picture_is_packed_once_for_all_readers_of_a_size() -> None:
    board = PlaneBoard("gate", Budget(1 << 20))
    woken: list[str] = []
    first = board.want(FULL, 0, lambda: woken.append("first"))
    second = board.want(FULL, 0, lambda: woken.append("second"))
    small = board.want(PlaneSize(16, 16), 0, lambda: woken.append("small"))
    assert first.newest() is None
    show(board, 0)
    assert sorted(woken) == ["first", "second", "small"]
    assert taken(first) is taken(second)
    assert taken(small) is not taken(first)
    assert remote_picture(pixels_pb2.StreamPixelsResponse.FromString(taken(small).message)).width == 16
    show(board, 1)
    assert taken(first).number == 2


def test_memory_is_paid_by_size_and_reader_and_given_back() -> None:
    budget = Budget(1 << 20)
    board = PlaneBoard("gate", budget)
    seats = [board.want(FULL, 0, lambda: None) for _ in range(3)]
    assert budget.used_bytes == 0
    show(board, 0)
    assert budget.used_bytes == 7 * BYTES
    show(board, 1)
    assert budget.used_bytes == 7 * BYTES
    show(board, 2, width=65)
    assert budget.used_bytes == 7 * (65 * 17 + 2 * 33 * 9)
    for seat in seats:
        seat.leave()
    assert budget.used_bytes == 0
    show(board, 3)
    assert budget.used_bytes == 0


def test_who_finds_no_memory_is_refused_and_who_was_there_before_is_not() -> None:
    budget = Budget(4 * BYTES)
    board = PlaneBoard("gate", budget)
    first = board.want(FULL, 0, lambda: None)
    show(board, 0)
    woken: list[None] = []
    second = board.want(FULL, 0, lambda: woken.append(None))
    show(board, 1)
    assert woken == [None], "it must learn of it"
    with pytest.raises(ResourceExhausted, match="gate"):
        second.newest()
    assert taken(first).number == 2
    second.leave()
    first.leave()
    third = board.want(FULL, 0, lambda: None)
    show(board, 2)
    assert taken(third).number == 3
    third.leave()
    assert budget.used_bytes == 0


@given(st.integers(1, 50), st.lists(st.integers(0, 120), max_size=200))
def test_a_beat_never_lets_more_through_than_its_rate(interval: int, steps: list[int]) -> None:
    beat, now, times = Beat(interval), 1000, []
    for step in steps:
        now += step
        if beat.wait_ns(now) == 0:
            beat.take(now)
            times.append(now)
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            # An eighth early at the end, and one interval kept from before at the beginning.
            assert last - first <= (times[last] - begin + interval // 8) // interval + 1


def test_a_beat_just_below_the_rate_of_frames_loses_few_of_them() -> None:
    beat, went = Beat(100), 0
    for number in range(1000):
        if beat.wait_ns(now := 1000 + number * 99) == 0:
            beat.take(now)
            went += 1
    assert went > 980
