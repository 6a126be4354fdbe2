"""Which cameras are decoded: those that somebody wants, each once.

Here: demand, beginning and ending decoders, seats of ring readers. Not here: one camera's decoding (camera.py), the
gRPC face (service.py), sockets (handover.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable

from broker.pixel.camera import CameraDecoder
from broker.pixel.feed import BrokerFeed
from broker.pixel.hardware import SOFTWARE, Hardware
from broker.pixel.known import KnownCameras
from broker.pixel.outlet import Budget, Outlet, Seat
from broker.pixel.pace import Share
from broker.pixel.plane_board import PlaneBoard
from broker.pixel.thumbnails import ThumbnailBoard
from mesh.clocks import Clock
from mesh.errors import NotFound, Unavailable
from mesh.logs import get_logger

log = get_logger("broker.pixel.host")

# A viewer that changes its choice, or a reader that connects again, finds the decoder still running.
_LINGER_S = 3.0

ThumbnailReady = Callable[[str], None]


class WantedCamera:
    """A camera that is decoded at present, with all that hangs on it."""

    def __init__(
        self, camera: str, decoder: CameraDecoder, outlet: Outlet, board: ThumbnailBoard, plane_board: PlaneBoard
    ) -> None:
        self.camera = camera
        self.decoder = decoder
        self.outlet = outlet
        self.board = board
        self.plane_board = plane_board
        self.wants = 0
        self.has_ended = False
        """It is decoded no more, whoever still wants it: the camera was removed, or the host stops."""
        self.linger: asyncio.TimerHandle | None = None


class PixelHost:
    """Decodes on demand. All methods on the event loop; `run` it as one task."""

    def __init__(
        self,
        feed: BrokerFeed,
        known: KnownCameras,
        clock: Clock,
        *,
        memory_bytes: int,
        slots: int,
        same_machine: bool,
        hardware: Hardware = SOFTWARE,
    ) -> None:
        self.known = known
        self.budget = Budget(memory_bytes)
        self._feed = feed
        self._clock = clock
        self._slots = slots
        self._share = Share()
        self._same_machine = same_machine
        self._hardware = hardware
        self._wanted: dict[str, WantedCamera] = {}
        self._thumbnail_listeners: list[ThumbnailReady] = []
        self._change_listeners: list[Callable[[], None]] = []
        known.on_change = self._cameras_changed
        known.on_masks = self._masks_changed

    async def run(self) -> None:
        """Follows the broker until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.known.run())
                group.create_task(self._feed.run())
        finally:
            for wanted in list(self._wanted.values()):
                wanted.outlet.close(Unavailable("pixel host", "is stopping"))
                self._end(wanted)

    @property
    def decoding(self) -> list[WantedCamera]:
        """Cameras decoded at present, by id."""
        return [self._wanted[camera] for camera in sorted(self._wanted)]

    def listen(self, on_thumbnail: ThumbnailReady, on_cameras: Callable[[], None]) -> Callable[[], None]:
        """Tells of each new small picture and of each change of the cameras; returns how to stop that."""
        self._thumbnail_listeners.append(on_thumbnail)
        self._change_listeners.append(on_cameras)

        def stop() -> None:
            self._thumbnail_listeners.remove(on_thumbnail)
            self._change_listeners.remove(on_cameras)

        return stop

    async def want(self, camera: str) -> WantedCamera:
        """Has the camera decoded until `release`. Raises NotFound; Unavailable without a broker."""
        await self.known.require(camera)
        return self.want_known(camera)

    def want_known(self, camera: str) -> WantedCamera:
        """As `want`, for a camera that is known to exist."""
        wanted = self._wanted.get(camera)
        if wanted is None:
            wanted = self._begin(camera)
        wanted.wants += 1
        if wanted.linger is not None:
            wanted.linger.cancel()
            wanted.linger = None
        return wanted

    def release(self, wanted: WantedCamera) -> None:
        """The inverse of one `want`. Decoding ends a little after the last."""
        wanted.wants -= 1
        if wanted.wants == 0 and self._wanted.get(wanted.camera) is wanted:
            wanted.linger = asyncio.get_running_loop().call_later(_LINGER_S, self._end, wanted)

    @contextlib.asynccontextmanager
    async def wanting(self, camera: str) -> AsyncIterator[WantedCamera]:
        """`want` and `release` around a block."""
        wanted = await self.want(camera)
        try:
            yield wanted
        finally:
            self.release(wanted)

    async def take_seat(self, camera: str, seat: Seat) -> Callable[[], None]:
        """Seats a ring reader; returns how it leaves. Raises as `want`."""
        wanted = await self.want(camera)
        wanted.outlet.add(seat)

        def leave() -> None:
            wanted.outlet.remove(seat)
            self.release(wanted)

        return leave

    def _begin(self, camera: str) -> WantedCamera:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            # From the decoder thread; the loop may be closing.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._thumbnail_ready, camera)

        outlet = Outlet(camera, self._slots, self.budget, secrets.randbits(63))
        board, plane_board = ThumbnailBoard(camera, wake), PlaneBoard(camera, self.budget)
        decoder = CameraDecoder(
            camera,
            outlet,
            board,
            plane_board,
            self._clock,
            same_machine=self._same_machine,
            share=self._share,
            hardware=self._hardware,
        )
        wanted = self._wanted[camera] = WantedCamera(camera, decoder, outlet, board, plane_board)
        decoder.masks = self.known.masks(camera)
        decoder.start()
        self._feed.subscribe(camera, decoder.put)
        log.info("decoding begins", camera=camera)
        return wanted

    def _end(self, wanted: WantedCamera) -> None:
        if self._wanted.get(wanted.camera) is not wanted:
            return
        del self._wanted[wanted.camera]
        wanted.has_ended = True
        if wanted.linger is not None:
            wanted.linger.cancel()
        self._feed.unsubscribe(wanted.camera)
        wanted.decoder.stop()
        log.info("decoding ends", camera=wanted.camera, pictures=wanted.decoder.figures.pictures)

    def _thumbnail_ready(self, camera: str) -> None:
        for listener in self._thumbnail_listeners:
            listener(camera)

    def _masks_changed(self, camera: str) -> None:
        wanted, masks = self._wanted.get(camera), self.known.masks(camera)
        if wanted is not None and wanted.decoder.masks != masks:
            wanted.decoder.masks = masks
            wanted.board.forget()
            wanted.plane_board.forget()

    def _cameras_changed(self) -> None:
        for wanted in list(self._wanted.values()):
            if wanted.camera not in self.known.ids:
                wanted.outlet.close(NotFound(f"camera {wanted.camera!r}", "was removed"))
                self._end(wanted)
        for listener in self._change_listeners:
            listener()
