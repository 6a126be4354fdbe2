"""A picture that stands still, proven by equal bytes; and the state that it makes."""

from __future__ import annotations

from broker.camera import CameraMachine, FrameArrived, PictureFroze, PictureMoved, Started, TimePassed, Timing
from broker.stillness import FROZEN_AFTER_PICTURES, Stillness
from trueframe.v1.cameras_pb2 import (
    CAMERA_STATE_CONNECTING,
    CAMERA_STATE_FROZEN,
    CAMERA_STATE_LIVE,
    CAMERA_STATE_SILENT,
)

SECOND = 1_000_000_000


def test_equal_pictures_over_ten_seconds_are_frozen_once() -> None:
    stillness = Stillness()
    changes = [stillness.observe(b"same", n * SECOND // 5) for n in range(60)]
    assert changes.count(True) == 1
    assert changes.index(True) == 50
    assert stillness.is_frozen


def test_the_first_other_picture_ends_it() -> None:
    stillness = Stillness()
    for n in range(60):
        stillness.observe(b"same", n * SECOND)
    assert stillness.observe(b"other", 60 * SECOND) is False
    assert stillness.observe(b"third", 61 * SECOND) is None


def test_pictures_that_differ_by_noise_are_never_frozen() -> None:
    stillness = Stillness()
    assert all(stillness.observe(bytes([n % 2]), n * SECOND) is None for n in range(100))


def test_few_pictures_prove_nothing_however_long_they_take() -> None:
    stillness = Stillness()
    changes = [stillness.observe(b"same", n * 60 * SECOND) for n in range(FROZEN_AFTER_PICTURES)]
    assert changes == [None] * (FROZEN_AFTER_PICTURES - 1) + [True]


def live() -> CameraMachine:
    machine = CameraMachine(Timing(), lambda: 0.0)
    machine.handle(Started(False), 0)
    machine.handle(FrameArrived(), SECOND)
    return machine


def test_a_frozen_picture_is_a_state_and_its_end_too() -> None:
    machine = live()
    machine.handle(PictureFroze(), 20 * SECOND)
    assert machine.state == CAMERA_STATE_FROZEN
    assert machine.detail
    machine.handle(PictureMoved(), 30 * SECOND)
    assert (machine.state, machine.detail) == (CAMERA_STATE_LIVE, "")


def test_a_frozen_camera_that_falls_silent_is_silent() -> None:
    machine = live()
    machine.handle(PictureFroze(), 20 * SECOND)
    machine.handle(TimePassed(20 * SECOND), 40 * SECOND)
    assert machine.state == CAMERA_STATE_SILENT
    machine.handle(PictureMoved(), 41 * SECOND)
    assert machine.state == CAMERA_STATE_SILENT, "news of a connection that is gone"


def test_nothing_freezes_before_it_was_live() -> None:
    machine = CameraMachine(Timing(), lambda: 0.0)
    machine.handle(Started(False), 0)
    machine.handle(PictureFroze(), SECOND)
    assert machine.state == CAMERA_STATE_CONNECTING
