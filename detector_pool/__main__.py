"""`python -m detector_pool --config FILE`: a worker's process."""

from __future__ import annotations

import os
import secrets
import socket

from aggregate.client import PoolClient
from detector_pool.registry import DETECTORS
from detector_pool.sources import OpenSource
from detector_pool.trail import Places
from detector_pool.worker import Worker
from mesh.channel import Credentials
from mesh.clocks import SystemClock
from mesh.config import Config
from mesh.runner import run_service

# Inspections for each camera: motion and signal, and room for one more.
INSPECTIONS_PER_CAMERA = 3


async def main(config: Config) -> None:
    """Works until it is cancelled."""
    name = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(3)}"
    token = Credentials.from_file(config.token_file)
    clock = SystemClock()
    places = Places(config.broker.endpoint, config.media_center.endpoint, token, name)
    open_source = OpenSource(config.rings_socket, places, clock)
    capacity = config.detector_pool.capacity * INSPECTIONS_PER_CAMERA
    async with PoolClient(config.aggregate.endpoint, token) as pool:
        await Worker(name, capacity, pool, DETECTORS, open_source, clock).run()


if __name__ == "__main__":
    run_service(main)
