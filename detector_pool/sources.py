"""Where a worker's pictures come from, put together for each camera."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from detector_pool.live import LiveSource
from detector_pool.picture import PictureSource
from detector_pool.pixels import RingSource
from detector_pool.trail import Places, Trail
from mesh.clocks import Clock
from mesh.ids import FrameId

# Each is a decoding process that goes as fast as it can, beside what is live.
MAX_CATCHING_UP = max(2, os.cpu_count() or 2)


class OpenSource:
    """Opens sources of pictures: live from one pixel host, and behind a given frame without a hole."""

    def __init__(self, rings_socket: Path, places: Places, clock: Clock) -> None:
        self._rings_socket = rings_socket
        self._places = places
        self._clock = clock
        self._turns = threading.BoundedSemaphore(MAX_CATCHING_UP)

    def __call__(self, camera: str, after: FrameId | None) -> PictureSource:
        """A source of the camera's pictures, from now on or behind a frame."""

        def open_ring(behind: FrameId | None) -> RingSource:
            return RingSource(self._rings_socket, self._places.token, camera, behind, self._places.worker)

        def open_trail(behind: FrameId) -> Trail:
            return Trail(camera, behind, self._places, self._clock)

        return LiveSource(after, open_ring, open_trail, self._turns)
