"""The one task that owns a camera: carries out what the state machine decides, and tells it what happened.

Belongs here: tasks, timers, the order of things when a connection ends. Does not belong here: decisions (`camera`),
protocols (`rtsp`, `sources`), the set of cameras (`registry`). Others ask the owner by message and never touch its
connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from broker import camera
from broker.errors import SourceFailure
from broker.feed import Feed
from broker.kinds import EndReason, State
from broker.store import StoredCamera
from mesh.clocks import Clock
from mesh.logs import get_logger
from mesh.redact import redact
from trueframe.v1.cameras_pb2 import CAMERA_STATE_LIVE
from trueframe.v1.frames_pb2 import (
    EPOCH_END_REASON_BROKER_STOPPED,
    EPOCH_END_REASON_RECONFIGURED,
    EPOCH_END_REASON_SILENT,
)

log = get_logger("broker.owner")

# Plays a camera into a feed; never returns, raises SourceFailure.
Play = Callable[[StoredCamera, Feed], Awaitable[None]]

_GOOD_BYE_S = 2.0
# Of its own: a program that seeds the global generator gets from it what it expects.
_dice = random.Random()


@dataclass(frozen=True, slots=True)
class OwnerState:
    """How a camera is, and since when (UTC nanoseconds)."""

    state: State
    detail: str
    since_ns: int


class CameraOwner:
    """Owns one camera's connection. `on_change` is called on the loop after each change of state."""

    def __init__(
        self,
        feed: Feed,
        play: Play,
        timing: camera.Timing,
        clock: Clock,
        on_change: Callable[[OwnerState], None],
        jitter: Callable[[], float] = _dice.random,
    ) -> None:
        self.feed = feed
        self._play = play
        self._clock = clock
        self._on_change = on_change
        self._machine = camera.CameraMachine(timing, jitter)
        self._camera = StoredCamera(feed.camera, "")
        # Events with the attempt they belong to; 0 for those of an administrator.
        self._inbox: asyncio.Queue[tuple[int, camera.Event]] = asyncio.Queue(maxsize=16)
        self._attempt = 0
        self._session: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._end_reason: EndReason = EPOCH_END_REASON_RECONFIGURED
        self.state = OwnerState(self._machine.state, "", clock.utc_ns())

    def start(self, stored: StoredCamera) -> None:
        """Begins to own the camera."""
        self._camera = stored
        self._inbox.put_nowait((0, camera.Started(stored.is_disabled)))
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"camera {self.feed.camera}")

    async def reconfigure(self, stored: StoredCamera) -> None:
        """Changes source, transport or enablement; the open epoch ends, and what was learnt of the old is forgotten."""
        self._camera = stored
        self.feed.transport_that_worked, self.feed.waits_in_vain = "", 0
        await self._inbox.put((0, camera.Reconfigured(stored.is_disabled)))

    async def stop(self, reason: EndReason = EPOCH_END_REASON_BROKER_STOPPED) -> None:
        """Ends the epoch and the connection and returns when both are gone."""
        self._end_reason = reason
        if self._task is not None:
            await self._inbox.put((0, camera.Stopped()))
            await self._task
            self._task = None

    async def _run(self) -> None:
        try:
            while True:
                event = await self._next_event()
                now_ns = self._clock.monotonic_ns()
                for decision in self._machine.handle(event, now_ns):
                    await self._carry_out(decision)
                if isinstance(event, camera.Stopped):
                    return
        except asyncio.CancelledError:
            await self._disconnect(EPOCH_END_REASON_BROKER_STOPPED, "")
            raise

    async def _next_event(self) -> camera.Event:
        wake_at_ns = self._machine.wake_at_ns(self.feed.last_sign_ns)
        while True:
            timeout_s = None if wake_at_ns is None else max(0.0, (wake_at_ns - self._clock.monotonic_ns()) / 1e9)
            try:
                async with asyncio.timeout(timeout_s):
                    attempt, event = await self._inbox.get()
            except TimeoutError:
                return camera.TimePassed(self.feed.last_sign_ns)
            if attempt in (0, self._attempt):
                return event  # Else news of a connection that was given up meanwhile.

    async def _carry_out(self, decision: camera.Decision) -> None:
        match decision:
            case camera.Connect():
                self._attempt += 1
                self._session = asyncio.get_running_loop().create_task(
                    self._hold_session(self._attempt), name=f"session {self.feed.camera}"
                )
            case camera.Disconnect(is_silent=True):
                await self._disconnect(EPOCH_END_REASON_SILENT, "No frame came for longer than the configured silence.")
            case camera.Disconnect():
                await self._disconnect(self._end_reason, "")
            case camera.Announce(state=state, detail=detail):
                self._announce(state, detail)

    def _announce(self, state: State, detail: str) -> None:
        since_ns = self._clock.utc_ns() if state != self.state.state else self.state.since_ns
        self.state = OwnerState(state, detail, since_ns)
        report = log.info if state == CAMERA_STATE_LIVE else log.warning if detail else log.info
        report("camera state", camera=self.feed.camera, state=camera.state_name(state), detail=detail)
        self._on_change(self.state)

    async def _hold_session(self, attempt: int) -> None:
        """One attempt and the connection it leads to; its end is posted, whatever it was."""
        feed = self.feed
        feed.on_connected = lambda: self._post(attempt, camera.Connected())
        feed.on_first_frame = lambda: self._post(attempt, camera.FrameArrived())
        feed.on_frozen = lambda is_frozen: self._post(
            attempt, camera.PictureFroze() if is_frozen else camera.PictureMoved()
        )
        failed: asyncio.Future[SourceFailure] = asyncio.get_running_loop().create_future()
        feed.on_failure = lambda error: None if failed.done() else failed.set_result(error)
        failure: SourceFailure
        playing = asyncio.ensure_future(self._play(self._camera, feed))
        try:
            either: list[asyncio.Future[Any]] = [playing, failed]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                failure = failed.result()
            else:
                playing.result()
                failure = SourceFailure(f"camera {feed.camera!r}", "the source stopped")
        except SourceFailure as error:
            failure = error
        except Exception as error:  # A fault of ours must not leave the camera without an owner that retries.
            log.exception("session failed", camera=feed.camera)
            failure = SourceFailure(f"camera {feed.camera!r}", f"internal fault ({type(error).__name__})")
        finally:
            playing.cancel()
            feed.transport_used = ""
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await playing
        detail = redact(str(failure))
        feed.end_epoch(failure.end_reason, detail)
        self._post(attempt, camera.Failed(failure.state, detail))

    def _post(self, attempt: int, event: camera.Event) -> None:
        if attempt != self._attempt or self._session is None:
            return
        try:
            self._inbox.put_nowait((attempt, event))
        except asyncio.QueueFull:
            # A few events a session fit many times; only a blocked owner gets here, and it then loses the session.
            log.error("owner is blocked", camera=self.feed.camera)

    async def _disconnect(self, reason: EndReason, detail: str) -> None:
        session, self._session = self._session, None
        # The epoch ends first: nothing that still arrives while the session is torn down may be minted behind its end.
        self.feed.end_epoch(reason, detail)
        if session is None:
            return
        session.cancel()
        await asyncio.wait({session}, timeout=_GOOD_BYE_S)
