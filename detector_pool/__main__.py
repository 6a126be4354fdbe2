"""`python -m detector_pool --config FILE`: a worker's process."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket

from aggregate.client import PoolClient, SyncModelClient
from detector_pool.model_cache import ModelCache
from detector_pool.registry import detector_types
from detector_pool.sources import OpenSource
from detector_pool.trail import Places
from detector_pool.worker import Means, Worker
from mesh.channel import Credentials
from mesh.clocks import SystemClock
from mesh.config import Config
from mesh.errors import Unavailable
from mesh.logs import get_logger
from mesh.runner import run_service
from mesh.zones import site_zone

log = get_logger("detector_pool")

# Inspections for each camera while it is not measured what they cost: motion, signal and health, and room for one
# more.
INSPECTIONS_PER_CAMERA = 4
MOST_CORES = 4


async def main(config: Config) -> None:
    """Works until it is cancelled."""
    name = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(3)}"
    token = Credentials.from_config(config)
    clock = SystemClock()
    places = Places(config.broker.endpoint, config.media_center.endpoint, token, name)
    open_source = OpenSource(config.rings_socket, places, clock)
    settings = config.detector_pool
    with SyncModelClient(config.aggregate.endpoint, token) as models:
        folder = config.run.data_dir / "detector_pool" / "models"
        means = Means(
            capacity=settings.capacity * INSPECTIONS_PER_CAMERA,
            cores=settings.cores or min(os.cpu_count() or 1, MOST_CORES),
            providers=await asyncio.to_thread(_providers, settings.provider),
            timezone=site_zone(config.site.timezone).key,
            models=ModelCache(folder, settings.model_cache_bytes, models.fetch),
        )
        async with PoolClient(config.aggregate.endpoint, token) as pool:
            await Worker(name, means, pool, detector_types(), open_source, clock).run()


def _providers(wanted: str) -> tuple[str, ...]:
    """Execution providers that models really run on here. What a graph runs on, its inspection reports."""
    from detector_pool.onnx_models.graph import providers_here
    from detector_pool.onnx_models.shared import prefer

    prefer(wanted)
    try:
        return providers_here(wanted)
    except Unavailable as error:
        # Detectors without a model go on; those with one say that it does not run, in their inspections.
        log.error("models do not run", reason=str(error))
        return ("CPU",)


if __name__ == "__main__":
    run_service(main)
