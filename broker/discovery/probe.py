"""A source tried before it becomes a camera: played into a throw-away feed for a few seconds, and described.

Belongs here: the trial, its bounds in time and memory, and the rule that an attached source is never connected to a
second time (law 1): then the open connection is described. Does not belong here: the gRPC face (`service`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.camera import state_name
from broker.core import BatchReader, Hub, Subscriber, WireFrame
from broker.epochs import EpochBook
from broker.errors import SourceFailure, SourceUnreachable
from broker.feed import Feed
from broker.owner import Play
from broker.registry import CameraRegistry, Entry
from broker.sources.notation import FileSource, Source, parse_source
from broker.store import StoredCamera
from broker.view import camera_view
from mesh.clocks import Clock
from mesh.errors import InvalidArgument, ResourceExhausted
from mesh.logs import get_logger
from mesh.redact import redact
from trueframe.v1.cameras_pb2 import CAMERA_STATE_CONNECTING, CAMERA_STATE_LIVE
from trueframe.v1.discovery_pb2 import ProbeSourceResponse
from trueframe.v1.frames_pb2 import JOIN_POINT_NONE, EpochStarted

log = get_logger("broker.discovery")

_NS = 1e9
_CAMERA = "probe"
_AT_ONCE = 4
# Frames are looked at as they come and let go; a single one may be 16 MiB.
_RING_BYTES = 33_554_432
_RING_NS = 1_000_000_000
# A connection that plays and gives no picture: smart codecs send a key frame in half a minute.
_FIRST_FRAME_S = 35.0


def stream_key(source: Source) -> tuple[str, int, str]:
    """What makes two sources the same stream: host, port and path; credentials and transport do not matter."""
    if isinstance(source, FileSource):
        return "", 0, str(source.path.absolute())
    path = source.url.partition("://")[2].partition("/")[2]
    return source.host.lower(), source.port, path


@dataclass(slots=True)
class _Seen:
    """What the frames of a trial told."""

    codec: int = 0
    width: int = 0
    height: int = 0
    frames: int = 0
    payload_bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    longest_gop: int = 0
    last_join: int | None = None
    has_camera_time: bool = False
    first_frame: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, batch: bytes) -> None:
        for item in BatchReader(batch):
            if isinstance(item, EpochStarted):
                self.codec, self.width, self.height = item.codec, item.width, item.height
                self.last_join = None
            elif isinstance(item, WireFrame):
                self._take_frame(item)

    def _take_frame(self, frame: WireFrame) -> None:
        if not self.frames:
            self.first_ns = frame.monotonic_ns
            self.first_frame.set()
        self.frames += 1
        self.payload_bytes += frame.payload_size
        self.last_ns = frame.monotonic_ns
        self.has_camera_time |= frame.camera_time_ns is not None
        if frame.join_point != JOIN_POINT_NONE:
            if self.last_join is not None:
                self.longest_gop = max(self.longest_gop, frame.seq - self.last_join)
            self.last_join = frame.seq


class _NoEpochs:
    """Epochs of a trial are nobody's."""

    async def load(self) -> Mapping[str, int]:
        return {}

    async def save(self, last: Mapping[str, int]) -> None:
        pass


class Prober:
    """Tries sources, at most four at once."""

    def __init__(self, registry: CameraRegistry, play: Play, clock: Clock) -> None:
        self._registry = registry
        self._play = play
        self._clock = clock
        self._running: dict[tuple[str, int, str], asyncio.Task[ProbeSourceResponse]] = {}
        registry.follow(self._give_way, lambda camera: None)

    async def probe(
        self, camera: StoredCamera, seconds: float, allows: Callable[[str], bool] = lambda camera: True
    ) -> ProbeSourceResponse:
        """Looks at a source for so long. Only ids that `allows` accepts are told.

        Without a source the camera of that id is described. Raises InvalidArgument (no source), NoSuchCamera,
        ResourceExhausted (too many trials, or this source is being tried).
        """
        if camera.id and not camera.source:
            camera = self._registry.get(camera.id).stored
        key = stream_key(parse_source(camera.source, camera.transport, camera.tls_sha256))
        attached = self._attached(key)
        if attached is not None:
            return await self._describe(attached, seconds, allows)
        if len(self._running) >= _AT_ONCE or key in self._running:
            reason = (
                "is being tried already" if key in self._running else f"would be more than {_AT_ONCE} trials at once"
            )
            raise ResourceExhausted("source", reason, "Wait until that has ended.")
        trial = self._running[key] = asyncio.create_task(self._try(camera, seconds), name="probe")
        try:
            await asyncio.wait({trial})
        finally:
            trial.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await trial
            del self._running[key]
        attached = self._attached(key) if trial.cancelled() else None
        if attached is not None:
            return await self._describe(attached, seconds, allows)
        return trial.result()

    def _give_way(self, camera: str) -> None:
        """A camera was added: a trial of its source ends, so that the stream has one connection."""
        for key, trial in self._running.items():
            entry = self._attached(key)
            if entry is not None and entry.stored.id == camera:
                trial.cancel()

    def _attached(self, key: tuple[str, int, str]) -> Entry | None:
        for entry in self._registry.entries():
            stored = entry.stored
            if stored.is_disabled:
                continue  # It has no connection: the trial's is the only one.
            with contextlib.suppress(InvalidArgument):
                if stream_key(parse_source(stored.source, stored.transport, stored.tls_sha256)) == key:
                    return entry
        return None

    # ---- what is attached -------------------------------------------------------------------------------------------

    async def _describe(self, entry: Entry, seconds: float, allows: Callable[[str], bool]) -> ProbeSourceResponse:
        await self._past_connecting(entry, seconds)
        view = camera_view(entry, self._clock.monotonic_ns())
        feed = entry.feed
        reading = feed.clock_state.reading()
        is_live = view.state == CAMERA_STATE_LIVE
        waiting = f"camera {entry.stored.id!r} has this source and is {state_name(view.state)}"
        return ProbeSourceResponse(
            playable=is_live,
            failure="" if is_live else view.detail or waiting,
            state=view.state,
            codec=view.codec,
            width=view.width,
            height=view.height,
            frame_rate=view.frame_rate,
            claimed_frame_rate=feed.claimed_frame_rate,
            bit_rate=view.bit_rate,
            key_frame_interval=view.key_frame_interval,
            transport_used=feed.transport_used,
            server=feed.server,
            has_audio=feed.counters.audio_packets_dropped > 0,
            has_camera_time=reading is not None and bool(reading.source),
            attached_as=entry.stored.id if allows(entry.stored.id) else "",
        )

    async def _past_connecting(self, entry: Entry, seconds: float) -> None:
        """Waits until a camera that was just added has a state that says something."""
        watch = self._registry.watch()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while entry.owner.state.state == CAMERA_STATE_CONNECTING:
                        await watch.changed()
        finally:
            self._registry.unwatch(watch)

    # ---- what is not ------------------------------------------------------------------------------------------------

    async def _try(self, camera: StoredCamera, seconds: float) -> ProbeSourceResponse:
        loop = asyncio.get_running_loop()
        seen = _Seen()
        failed: asyncio.Future[SourceFailure] = loop.create_future()
        hub = Hub(max_bytes=_RING_BYTES, max_ns=_RING_NS)
        hub.ring(_CAMERA)
        feed = Feed(
            camera=_CAMERA,
            hub=hub,
            book=EpochBook(_NoEpochs(), self._clock),
            clock=self._clock,
            on_connected=lambda: None,
            on_first_frame=lambda: None,
            on_epoch=lambda: None,
            on_failure=lambda error: None if failed.done() else failed.set_result(error),
        )
        news = asyncio.Event()
        subscriber = Subscriber(hub, news.set)
        subscriber.add(_CAMERA)
        began_ns = self._clock.monotonic_ns()
        reading = asyncio.create_task(_read(subscriber, news, seen), name="probe reader")
        playing = asyncio.ensure_future(self._play(camera, feed))
        failure: SourceFailure | None = None
        try:
            failure = await _watched(playing, failed, seen, seconds)
        finally:
            transport_used = feed.transport_used
            for task in (playing, reading):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
            seen.take(subscriber.take())  # What arrived in the last moment.
            subscriber.close()
        span_s = (seen.last_ns - seen.first_ns) / _NS
        # Between the first frame and the last there is one interval, and one frame's bytes, less than frames.
        share = (seen.frames - 1) / seen.frames if seen.frames > 1 else 0.0
        clock = feed.clock_state.reading()
        return ProbeSourceResponse(
            playable=seen.frames > 0,
            failure="" if seen.frames else redact(str(failure)),
            state=CAMERA_STATE_LIVE if seen.frames else (failure or SourceUnreachable("source", "")).state,
            codec=seen.codec,  # type: ignore[arg-type]
            width=seen.width,
            height=seen.height,
            frame_rate=(seen.frames - 1) / span_s if span_s > 0 else 0.0,
            claimed_frame_rate=feed.claimed_frame_rate,
            bit_rate=seen.payload_bytes * share * 8 / span_s if span_s > 0 else 0.0,
            key_frame_interval=seen.longest_gop,
            transport_used=transport_used,
            server=feed.server,
            has_audio=feed.counters.audio_packets_dropped > 0,
            has_camera_time=seen.has_camera_time or (clock is not None and bool(clock.source)),
            first_frame_s=max(0.0, (seen.first_ns - began_ns) / _NS) if seen.frames else 0.0,
        )


async def _read(subscriber: Subscriber, news: asyncio.Event, seen: _Seen) -> None:
    while True:
        await news.wait()
        news.clear()
        while batch := subscriber.take():
            seen.take(batch)


async def _watched(
    playing: asyncio.Future[None], failed: asyncio.Future[SourceFailure], seen: _Seen, seconds: float
) -> SourceFailure | None:
    """Waits for the first frame, then for so many seconds; returns the failure that ended it sooner."""
    first = asyncio.ensure_future(seen.first_frame.wait())
    ends: list[asyncio.Future[Any]] = [playing, failed]
    try:
        await asyncio.wait([*ends, first], timeout=_FIRST_FRAME_S, return_when=asyncio.FIRST_COMPLETED)
        if first.done():
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        first.cancel()
    if failed.done():
        return failed.result()
    if playing.done():
        try:
            playing.result()
        except SourceFailure as error:
            return error
        except Exception as error:  # A fault of ours must not look like one of the camera's.
            log.exception("trial failed")
            return SourceFailure("source", f"internal fault ({type(error).__name__})")
        return SourceFailure("source", "the source stopped")
    if not seen.frames:
        reason = f"plays, and sent no picture in {_FIRST_FRAME_S:.0f} s"
        return SourceUnreachable("source", reason, "Shorten the interval between key frames in the camera.")
    return None
