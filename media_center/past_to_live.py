"""One stream from a moment of the past into live, for both kinds of client: calls, and waiting between them.

What does not belong here: what goes out and when to change between footage and live (`joint`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping
from contextlib import aclosing, closing

from broker.client import BrokerClient, SyncBrokerClient
from media_center.client_async import FootageClient
from media_center.client_calls import FootageItem
from media_center.client_sync import SyncFootageClient
from media_center.export_parts import Place
from media_center.joint import Joint
from mesh.errors import Cancelled, DeadlineExceeded, InvalidArgument, TrueframeError, Unavailable
from mesh.ids import FrameId, validate_camera_id

_LOOK_AGAIN_S = 0.25
_RETRY_S = 0.5
_NEAR_S = 2.0
"""Footage that was read within this time leaves nothing to catch up with that the broker's ring does not hold."""
# Of its own: a program that seeds the global generator gets from it what it expects.
_dice = random.Random()

Starts = Place | Mapping[str, Place]


def starts_of(cameras: str | Iterable[str], start: Starts) -> dict[str, Place]:
    """Where each camera begins. Raises InvalidArgument."""
    named = [cameras] if isinstance(cameras, str) else list(dict.fromkeys(cameras))
    if not named:
        raise InvalidArgument("cameras", "are none", "Name at least one.")
    if isinstance(start, Mapping):
        return {validate_camera_id(camera): start.get(camera) for camera in named}
    if isinstance(start, FrameId) and named != [start.camera]:
        raise InvalidArgument(f"start {start}", "is a frame of one camera", "Give a start by camera, or a time.")
    return {validate_camera_id(camera): start for camera in named}


async def stream_from(
    footage: FootageClient,
    broker: BrokerClient,
    cameras: str | Iterable[str],
    start: Starts,
    *,
    with_lead_in: bool = False,
    patience_s: float = 5.0,
    subscriber: str = "",
) -> AsyncGenerator[FootageItem, None]:
    """Recorded frames from `start` on, then live ones, without a seam; see `trueframe.client`."""
    joint = Joint(starts_of(cameras, start), with_lead_in=with_lead_in, patience_s=patience_s)
    while True:
        async with aclosing(_past(footage, joint, with_lead_in)) as past:
            async for item in past:
                yield item
        live = broker.stream(joint.cameras, starts=joint.live_starts(), subscriber=subscriber)
        async with live:
            async for live_item in live:
                given = joint.take_live(live_item, time.monotonic())
                if given is None:
                    break
                for item in given:
                    yield item


async def _past(footage: FootageClient, joint: Joint, with_lead_in: bool) -> AsyncGenerator[FootageItem, None]:
    """All that the footage has now; waits for it while live cannot go on."""
    while True:
        began_s = time.monotonic()
        try:
            async with aclosing(footage.watch_persisted(joint.cameras)) as watermarks:  # type: ignore[type-var]
                marks = {mark.camera: mark for mark in await anext(watermarks)}
            ranges = joint.ranges(marks)
            if ranges:
                async with aclosing(footage.replay(ranges, with_lead_in=with_lead_in)) as replay:  # type: ignore[type-var]
                    async for item in replay:
                        for given in joint.take_past(item):
                            yield given
                joint.was_read(ranges, marks)
                if time.monotonic() - began_s > _NEAR_S:
                    continue
            wait_s = _LOOK_AGAIN_S
        except TrueframeError as error:
            wait_s = _after_failure(error)
            if joint.has_been_live and not joint.waits(time.monotonic()):
                return
        else:
            if not joint.waits(time.monotonic()):
                return
        await asyncio.sleep(wait_s)


def stream_from_sync(
    footage: SyncFootageClient,
    broker: SyncBrokerClient,
    cameras: str | Iterable[str],
    start: Starts,
    *,
    with_lead_in: bool = False,
    patience_s: float = 5.0,
    subscriber: str = "",
) -> Generator[FootageItem, None, None]:
    """As `stream_from`, for programs without an event loop."""
    joint = Joint(starts_of(cameras, start), with_lead_in=with_lead_in, patience_s=patience_s)
    while True:
        yield from _past_sync(footage, joint, with_lead_in)
        with broker.stream(joint.cameras, starts=joint.live_starts(), subscriber=subscriber) as live:
            for live_item in live:
                given = joint.take_live(live_item, time.monotonic())
                if given is None:
                    break
                yield from given


def _past_sync(footage: SyncFootageClient, joint: Joint, with_lead_in: bool) -> Generator[FootageItem, None, None]:
    while True:
        began_s = time.monotonic()
        try:
            with closing(footage.watch_persisted(joint.cameras)) as watermarks:  # type: ignore[type-var]
                marks = {mark.camera: mark for mark in next(watermarks)}
            ranges = joint.ranges(marks)
            if ranges:
                with closing(footage.replay(ranges, with_lead_in=with_lead_in)) as replay:  # type: ignore[type-var]
                    for item in replay:
                        yield from joint.take_past(item)
                joint.was_read(ranges, marks)
                if time.monotonic() - began_s > _NEAR_S:
                    continue
            wait_s = _LOOK_AGAIN_S
        except TrueframeError as error:
            wait_s = _after_failure(error)
            if joint.has_been_live and not joint.waits(time.monotonic()):
                return
        else:
            if not joint.waits(time.monotonic()):
                return
        time.sleep(wait_s)


def _after_failure(error: TrueframeError) -> float:
    """How long to wait before the footage is asked again. Raises an error that does not heal."""
    if not isinstance(error, Unavailable | Cancelled | DeadlineExceeded):
        raise error
    return _RETRY_S * _dice.uniform(0.5, 1.0)  # many readers of a media center that restarts do not come as one
