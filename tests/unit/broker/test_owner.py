"""The task that owns a camera, with sources that are coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from broker.camera import Timing
from broker.core import Hub
from broker.epochs import EpochBook
from broker.errors import SourceEnded, SourceRefused, SourceUnreachable
from broker.feed import Feed
from broker.owner import CameraOwner, OwnerState
from broker.store import StoredCamera
from mesh.clocks import SystemClock
from tests.support import auntil
from trueframe.v1.cameras_pb2 import (
    CAMERA_STATE_CONNECTING,
    CAMERA_STATE_DISABLED,
    CAMERA_STATE_ENDED,
    CAMERA_STATE_LOST,
    CAMERA_STATE_REFUSED,
    CAMERA_STATE_SILENT,
)

QUICK = Timing(silent_after_s=0.05, lost_first_s=0.01, lost_last_s=0.01, refused_first_s=0.01, refused_last_s=0.01)
Play = Callable[[StoredCamera, Feed], Awaitable[None]]


class NoEpochs:
    async def load(self) -> dict[str, int]:
        return {}

    async def save(self, last: object) -> None:
        return None


def owner(play: Play, states: list[OwnerState]) -> CameraOwner:
    clock = SystemClock()
    hub = Hub()
    hub.ring("gate")
    nothing = lambda *_: None  # noqa: E731
    feed = Feed("gate", hub, EpochBook(NoEpochs(), clock), clock, nothing, nothing, nothing, nothing)
    return CameraOwner(feed, play, QUICK, clock, states.append)


def numbers(states: list[OwnerState]) -> list[int]:
    return [state.state for state in states]


async def test_a_source_that_fails_is_tried_again_until_it_works() -> None:
    tries = 0
    states: list[OwnerState] = []

    async def play(camera: StoredCamera, feed: Feed) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise SourceUnreachable("camera", "is away")
        feed.connected()
        raise SourceEnded("file", "was played")

    task = owner(play, states)
    task.start(StoredCamera("gate", "x"))
    await auntil(lambda: numbers(states)[-1:] == [CAMERA_STATE_ENDED], 5)
    await task.stop()
    assert tries == 4
    assert numbers(states) == [CAMERA_STATE_CONNECTING, CAMERA_STATE_LOST, CAMERA_STATE_ENDED]


async def test_a_fault_of_ours_leaves_no_camera_without_an_owner(caplog: pytest.LogCaptureFixture) -> None:
    tries = 0
    states: list[OwnerState] = []

    async def play(camera: StoredCamera, feed: Feed) -> None:
        nonlocal tries
        tries += 1
        raise ZeroDivisionError("oops")

    task = owner(play, states)
    task.start(StoredCamera("gate", "x"))
    await auntil(lambda: tries >= 3, 5)
    await task.stop()
    assert numbers(states) == [CAMERA_STATE_CONNECTING, CAMERA_STATE_LOST]
    assert "internal fault (ZeroDivisionError)" in states[-1].detail


async def test_a_failure_told_by_the_ingest_ends_the_session() -> None:
    states: list[OwnerState] = []
    was_cancelled = asyncio.Event()

    async def play(camera: StoredCamera, feed: Feed) -> None:
        feed.connected()
        feed.on_failure(SourceRefused("camera", "changes all the time"))
        try:
            await asyncio.sleep(60)
        finally:
            was_cancelled.set()

    task = owner(play, states)
    task.start(StoredCamera("gate", "x"))
    await auntil(lambda: CAMERA_STATE_REFUSED in numbers(states), 5)
    assert was_cancelled.is_set()
    await task.stop()


async def test_silence_ends_the_session_and_begins_another() -> None:
    sessions = 0
    states: list[OwnerState] = []

    async def play(camera: StoredCamera, feed: Feed) -> None:
        nonlocal sessions
        sessions += 1
        feed.connected()
        await asyncio.sleep(60)

    task = owner(play, states)
    task.start(StoredCamera("gate", "x"))
    await auntil(lambda: sessions >= 3, 5)
    await task.stop()
    assert numbers(states) == [CAMERA_STATE_CONNECTING, CAMERA_STATE_SILENT]


async def test_a_change_of_source_takes_the_old_session_down_first() -> None:
    story: list[str] = []
    states: list[OwnerState] = []

    async def play(camera: StoredCamera, feed: Feed) -> None:
        story.append(f"{camera.source} begins")
        try:
            await asyncio.sleep(60)
        finally:
            story.append(f"{camera.source} ends")

    task = owner(play, states)
    task.start(StoredCamera("gate", "old"))
    await auntil(lambda: story, 5)
    await task.reconfigure(StoredCamera("gate", "new"))
    await auntil(lambda: "new begins" in story, 5)
    await task.reconfigure(StoredCamera("gate", "new", is_disabled=True))
    await auntil(lambda: numbers(states)[-1] == CAMERA_STATE_DISABLED, 5)
    await task.stop()
    assert story == ["old begins", "old ends", "new begins", "new ends"]
