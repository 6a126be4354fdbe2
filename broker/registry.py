"""The cameras of this broker: added, changed, removed and listed live, each with its owner.

Belongs here: the set, what is stored of it, who is told of changes. Does not belong here: connections (`owner`), the
gRPC face (`service`), frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from broker.camera import Timing
from broker.core import Hub
from broker.epochs import EpochBook
from broker.errors import CameraIdUsed, NoSuchCamera, SourceUnauthorised
from broker.feed import Feed
from broker.owner import CameraOwner, OwnerState, Play
from broker.rates import RateMeter
from broker.sources.notation import parse_source
from broker.store import BrokerStore, StoredCamera
from mesh.clocks import Clock
from mesh.errors import InvalidArgument, ResourceExhausted, TrueframeError
from mesh.ids import validate_camera_id
from mesh.logs import get_logger
from mesh.masks import Masks
from mesh.redact import redact_url
from trueframe.v1 import cameras_pb2
from trueframe.v1.frames_pb2 import EPOCH_END_REASON_RECONFIGURED

log = get_logger("broker.registry")

_MAX_SOURCE_CHARACTERS = 4096
_MAX_NAME_CHARACTERS = 200
_MAX_LABELS = 32
_MAX_LABEL_CHARACTERS = 128


@dataclass(slots=True)
class Entry:
    """One camera of this broker."""

    stored: StoredCamera
    feed: Feed
    owner: CameraOwner
    rates: RateMeter = field(default_factory=RateMeter)


@dataclass(frozen=True, slots=True)
class StateChange:
    """A camera went from one state to another. Times are UTC nanoseconds."""

    camera: str
    before: OwnerState
    after: OwnerState


class Watch:
    """Cameras that changed since they were last looked at, each once: a slow watcher never has a backlog."""

    def __init__(self) -> None:
        self._dirty: dict[str, None] = {}
        self._news = asyncio.Event()

    def notify(self, camera: str) -> None:
        """A camera was added, changed or removed."""
        self._dirty[camera] = None
        self._news.set()

    async def changed(self) -> list[str]:
        """Waits for changes and returns the cameras they concern."""
        await self._news.wait()
        self._news.clear()
        cameras, self._dirty = list(self._dirty), {}
        return cameras


class CameraRegistry:
    """All cameras. `on_state` hears of each change of state, in order; `admit` raises for one too many."""

    def __init__(
        self,
        hub: Hub,
        store: BrokerStore,
        clock: Clock,
        play: Play,
        timing: Timing,
        max_cameras: int,
        on_state: Callable[[StateChange], None] = lambda change: None,
        admit: Callable[[str], None] = lambda camera: None,
    ) -> None:
        self._hub = hub
        self._store = store
        self._clock = clock
        self._play = play
        self._timing = timing
        self._max_cameras = max_cameras
        self._on_state = on_state
        self._admit = admit
        self._book = EpochBook(store, clock)
        self._entries: dict[str, Entry] = {}
        self._states: dict[str, OwnerState] = {}
        self._used_ids: set[str] = set()
        self._watches: set[Watch] = set()
        self._added: list[Callable[[str], None]] = []
        self._removed: list[Callable[[str], None]] = []
        self._changed: list[Callable[[str], None]] = []
        self._loaded = asyncio.Event()
        self._loaded.set()
        # One change at a time: what is stored and what runs never differ in order.
        self._changing = asyncio.Lock()

    # ---- life -------------------------------------------------------------------------------------------------------

    async def start(self, seeds: Iterable[StoredCamera]) -> None:
        """Loads what is stored, adds seeds whose ids were never used, and begins to connect.

        A seed that is ill-formed is logged and left out: it must not keep the others from starting.
        """
        self._loaded.clear()
        try:
            await self._book.load()
            for stored in await self._store.cameras():
                self._used_ids.add(stored.id)
                if not stored.is_removed:
                    self._own(stored)
        finally:
            self._loaded.set()
        for seed in seeds:
            if seed.id in self._used_ids:
                continue
            try:
                await self.add(seed)
            except TrueframeError as error:
                log.error("camera of the configuration is left out", camera=seed.id[:80], reason=str(error))

    async def until_loaded(self) -> None:
        """Returns when the stored cameras are there: to whoever asks sooner they would not exist."""
        await self._loaded.wait()

    async def stop(self) -> None:
        """Ends all epochs with BROKER_STOPPED and closes all connections."""
        await asyncio.gather(*(entry.owner.stop() for entry in self._entries.values()))
        await self._book.close()

    # ---- looking ----------------------------------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        """All cameras in the order of their ids."""
        return [self._entries[camera] for camera in sorted(self._entries)]

    def get(self, camera: str) -> Entry:
        """One camera. Raises NoSuchCamera."""
        entry = self._entries.get(camera)
        if entry is None:
            raise NoSuchCamera(f"camera {camera[:80]!r}")
        return entry

    def __contains__(self, camera: str) -> bool:
        return camera in self._entries

    def watch(self) -> Watch:
        """A watch that hears of everything from now on; give it back with `unwatch`."""
        watch = Watch()
        self._watches.add(watch)
        return watch

    def unwatch(self, watch: Watch) -> None:
        """Ends a watch."""
        self._watches.discard(watch)

    def follow(
        self,
        added: Callable[[str], None],
        removed: Callable[[str], None],
        changed: Callable[[str], None] = lambda camera: None,
    ) -> Callable[[], None]:
        """Calls back, on the loop, when a camera is added, removed or its description changed; returns the way out."""
        self._added.append(added)
        self._removed.append(removed)
        self._changed.append(changed)

        def stop() -> None:
            self._added.remove(added)
            self._removed.remove(removed)
            self._changed.remove(changed)

        return stop

    def sample_rates(self) -> None:
        """To be called once a second."""
        now_ns = self._clock.monotonic_ns()
        for entry in self._entries.values():
            entry.rates.sample(now_ns, entry.feed.counters.frames, entry.feed.counters.payload_bytes)

    # ---- changing ---------------------------------------------------------------------------------------------------

    async def add(self, camera: StoredCamera) -> Entry:
        """Adds a camera, stored before this returns. Raises InvalidArgument, CameraIdUsed, ResourceExhausted."""
        validate_camera_id(camera.id)
        _validate(camera)
        parse_source(camera.source, camera.transport, camera.tls_sha256)
        async with self._changing:
            if camera.id in self._entries:
                raise CameraIdUsed(
                    f"camera {camera.id!r}",
                    "exists already",
                    f"Choose another id, or change it: `trueframe cameras set {camera.id}`.",
                )
            if camera.id in self._used_ids:
                reason = "was removed, and ids are never given again"
                raise CameraIdUsed(
                    f"camera {camera.id!r}", reason, f"Choose another id, say {_successor(camera.id)!r}."
                )
            if len(self._entries) >= self._max_cameras:
                raise ResourceExhausted(
                    f"camera {camera.id!r}",
                    f"would be one more than the {self._max_cameras} this broker accepts",
                    "Raise broker.max_cameras, or remove a camera.",
                )
            self._admit(camera.id)
            await self._store.put_camera(camera)
            self._used_ids.add(camera.id)
            entry = self._own(camera)
        log.info("camera added", camera=camera.id)
        for tell in list(self._added):
            tell(camera.id)
        self.notify(camera.id)
        return entry

    async def update(self, camera: StoredCamera) -> Entry:
        """Replaces a camera's description; an empty source, or the one that is listed, keeps the stored one.

        Raises InvalidArgument, NoSuchCamera.
        """
        _validate(camera)
        async with self._changing:
            entry = self.get(camera.id)
            before = entry.stored
            # A listing that is edited and sent back has lost its credentials: that is no wish to forget them.
            keeps_source = camera.source in ("", redact_url(before.source))
            source, locked = (before.source, before.locked) if keeps_source else (camera.source, None)
            after = replace(
                camera, source=source, locked=locked, masks=before.masks, version=before.version + 1, is_removed=False
            )
            if replace(after, version=before.version) == before:
                return entry
            parse_source(after.source, after.transport, after.tls_sha256)
            await self._store.put_camera(after)
            entry.stored = after
            if _connection_of(after) != _connection_of(before):
                await entry.owner.reconfigure(after)
        log.info("camera changed", camera=camera.id)
        for tell in list(self._changed):
            tell(camera.id)
        self.notify(camera.id)
        return entry

    async def set_masks(self, camera: str, masks: Masks) -> Entry:
        """Replaces a camera's privacy masks, stored before this returns. Raises NoSuchCamera."""
        async with self._changing:
            entry = self.get(camera)
            if entry.stored.masks == masks:
                return entry
            after = replace(entry.stored, masks=masks, version=entry.stored.version + 1)
            await self._store.put_camera(after)
            entry.stored = after
        log.info("privacy masks changed", camera=camera, masks=len(masks))
        for tell in list(self._changed):
            tell(camera)
        self.notify(camera)
        return entry

    async def follow_keys(self) -> None:
        """Takes up a changed key of credentials: seals anew, and connects cameras whose passwords can be opened now."""
        async with self._changing:
            if not await self._store.seal_anew():
                return
            for stored in await self._store.cameras():
                entry = self._entries.get(stored.id)
                if entry is None or stored.locked == entry.stored.locked:
                    continue
                if stored.locked is None:
                    entry.stored = stored
                    await entry.owner.reconfigure(stored)

    async def remove(self, camera: str) -> None:
        """Removes a camera; its epoch ends. Raises NoSuchCamera."""
        async with self._changing:
            entry = self.get(camera)
            # The source goes, credentials and all; the id stays, so that it is never given again.
            await self._store.put_camera(
                StoredCamera(camera, "", is_removed=True, is_disabled=True, version=entry.stored.version + 1)
            )
            del self._entries[camera]
            await entry.owner.stop(EPOCH_END_REASON_RECONFIGURED)
            for tell in list(self._removed):
                tell(camera)
            self._hub.drop(camera)
            self._states.pop(camera, None)
        log.info("camera removed", camera=camera)
        self.notify(camera)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _own(self, stored: StoredCamera) -> Entry:
        camera = stored.id
        self._hub.ring(camera)
        feed = Feed(
            camera=camera,
            hub=self._hub,
            book=self._book,
            clock=self._clock,
            on_connected=lambda: None,
            on_first_frame=lambda: None,
            on_epoch=lambda: self.notify(camera),
            on_failure=lambda failure: None,
        )
        owner = CameraOwner(
            feed, self._play, self._timing, self._clock, lambda state: self._state_changed(camera, state)
        )
        entry = self._entries[camera] = Entry(stored, feed, owner)
        self._states[camera] = owner.state
        owner.start(stored)
        return entry

    def _state_changed(self, camera: str, state: OwnerState) -> None:
        before = self._states.get(camera, state)
        self._states[camera] = state
        self._on_state(StateChange(camera, before, state))
        self.notify(camera)

    def notify(self, camera: str) -> None:
        """Tells watchers that something of a camera changed."""
        for watch in self._watches:
            watch.notify(camera)


def source_player(timeout_s: float) -> Play:
    """Plays any source that `parse_source` knows. `timeout_s`: longest wait for a camera's answer."""
    from broker.rtsp.play import play_rtsp
    from broker.sources.file import play_file
    from broker.sources.http_mjpeg import play_http
    from broker.sources.notation import FileSource, RtspSource

    def play(camera: StoredCamera, feed: Feed) -> Awaitable[None]:
        if camera.locked is not None:
            return _refuse_locked(camera)
        source = parse_source(camera.source, camera.transport, camera.tls_sha256)
        if isinstance(source, RtspSource):
            return play_rtsp(source, feed, timeout_s)
        if isinstance(source, FileSource):
            return play_file(source, feed)
        return play_http(source, feed, timeout_s)

    return play


async def _refuse_locked(camera: StoredCamera) -> None:
    reason = camera.locked.reason if camera.locked else ""
    raise SourceUnauthorised(f"camera {camera.id!r}", f"its password cannot be opened: {reason}")


def _connection_of(camera: StoredCamera) -> tuple[object, ...]:
    """What a connection is made by: when it changes, a new one is needed."""
    return camera.source, camera.locked, camera.is_disabled, camera.transport, camera.tls_sha256


def _validate(camera: StoredCamera) -> None:
    _require(
        len(camera.source) <= _MAX_SOURCE_CHARACTERS, "source", f"is longer than {_MAX_SOURCE_CHARACTERS} characters"
    )
    name = camera.display_name
    _require(len(name) <= _MAX_NAME_CHARACTERS, "display name", f"is longer than {_MAX_NAME_CHARACTERS} characters")
    _require(name.isprintable(), "display name", "holds control characters")
    device = camera.device
    _require(len(device) <= _MAX_NAME_CHARACTERS, "device", f"is longer than {_MAX_NAME_CHARACTERS} characters")
    _require(device.isprintable(), "device", "holds control characters")
    _require(camera.transport in cameras_pb2.Transport.values(), "transport", "is none that this broker knows")
    _require(len(camera.labels) <= _MAX_LABELS, "labels", f"are more than {_MAX_LABELS}")
    _validate_labels(camera.labels)


def _validate_labels(labels: Mapping[str, str]) -> None:
    for key, value in labels.items():
        shown = f"label {key[:40]!r}"
        _require(bool(key) and key.isprintable() and value.isprintable(), shown, "is empty or holds control characters")
        longest = max(len(key), len(value))
        _require(longest <= _MAX_LABEL_CHARACTERS, shown, f"is longer than {_MAX_LABEL_CHARACTERS} characters")


def _require(is_well_formed: bool, thing: str, reason: str) -> None:
    if not is_well_formed:
        raise InvalidArgument(thing, reason)


def _successor(camera: str) -> str:
    stem, _, number = camera.rpartition("-")
    if stem and number.isdigit() and len(number) < 9:
        return f"{stem}-{int(number) + 1}"
    return f"{camera[:61]}-2"
