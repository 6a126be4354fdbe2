"""`python -m broker.pixel --config FILE`: the pixel host process. Composition only."""

from __future__ import annotations

import asyncio

from broker.pixel.feed import BrokerFeed
from broker.pixel.handover import serve_rings
from broker.pixel.hardware import choose_hardware
from broker.pixel.host import PixelHost
from broker.pixel.known import KnownCameras
from broker.pixel.memory import require_memory
from broker.pixel.metrics import PixelCollector
from broker.pixel.service import PIXEL_SERVICE, PixelServicer
from mesh.channel import Credentials, connect
from mesh.clocks import SystemClock
from mesh.config import Config
from mesh.runner import run_service
from mesh.server import serve
from mesh.tokens import Verifier
from trueframe.v1 import pixels_pb2_grpc


async def main(config: Config) -> None:
    """Serves until cancelled."""
    settings = config.pixels
    require_memory(settings.memory_bytes)
    verifier = Verifier.from_config(config)
    async with connect(config.broker.endpoint, Credentials.from_config(config)) as channel:
        host = PixelHost(
            BrokerFeed(channel),
            KnownCameras(channel),
            SystemClock(),
            memory_bytes=settings.memory_bytes,
            slots=settings.slots,
            same_machine=config.broker.endpoint.startswith("unix:"),
            hardware=await asyncio.to_thread(choose_hardware, settings.decoder),
        )
        servicer = PixelServicer(host)
        registration = (pixels_pb2_grpc.add_PixelServiceServicer_to_server, servicer, PIXEL_SERVICE)
        with PixelCollector(host):
            async with (
                serve(
                    settings.endpoint,
                    config,
                    [registration],
                    generic=[servicer.pixels_handler()],
                    verifier=verifier,
                    audit="pixels",
                ),
                serve_rings(config.rings_socket, verifier, host.take_seat),
                asyncio.TaskGroup() as group,
            ):
                group.create_task(host.run())


if __name__ == "__main__":
    run_service(main)
