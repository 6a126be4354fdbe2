"""The broker's fan-out by itself: the shipped hub, subscriptions, security and gRPC server, fed with ready-made items.

`python -m benchmarks.fanout_host --config FILE --socket PATH --cameras N` takes items from the peers' producer (four
bytes of length, little-endian, and that many) and gives the n-th to camera n modulo N, as ingest does with a frame
that it has just minted. When the producer ends, and what waits is delivered, it prints its CPU time since the producer
came and what every subscriber got, as one JSON object.

What does not belong here: anything that would make the fan-out cheaper or dearer than in `python -m broker`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

from broker.camera import Timing
from broker.core import JOIN_EXACT, JOIN_NONE, Hub
from broker.registry import CameraRegistry, source_player
from broker.service import BROKER_SERVICE, BrokerServicer
from broker.store import BrokerStore, StoredCamera
from broker.subscriptions import Limits, Subscriptions
from broker.tuning import tune_process
from mesh.clocks import SystemClock
from mesh.config import Config, load
from mesh.server import serve
from trueframe.v1 import broker_pb2_grpc
from trueframe.v1.frames_pb2 import CODEC_H264, EPOCH_ORIGIN_LIVE, EpochStarted

EPOCH = 1
GOP_FRAMES = 30
_READ_BYTES = 1 << 18
_DRAIN_S = 5.0
# As broker.__main__ reckons it.
_ITEM_COST = 256
_LOOK_S = 0.005


class Feeder(asyncio.BufferedProtocol):
    """Takes the producer's items and appends them to the hub, in the call in which they were read."""

    def __init__(self, hub: Hub, cameras: list[str]) -> None:
        self._hub = hub
        self._cameras = cameras
        self._buffer = bytearray(_READ_BYTES + (1 << 24))
        self._view = memoryview(self._buffer)
        self._used = 0
        self._has_role = False
        self.items = 0
        self.cpu_ns = 0
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The producer came."""
        self.cpu_ns = time.process_time_ns()
        self.begun.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next read goes."""
        return self._view[self._used : self._used + _READ_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        """Something was read."""
        now_ns = time.monotonic_ns()
        self._used += nbytes
        at = 0
        if not self._has_role:
            self._has_role, at = True, 1
        view, append, cameras = self._view, self._hub.append_frame, self._cameras
        while self._used - at >= 4:
            size = int.from_bytes(view[at : at + 4], "little")
            if self._used - at - 4 < size:
                break
            seq, camera = divmod(self.items, len(cameras))
            join_point = JOIN_NONE if seq % GOP_FRAMES else JOIN_EXACT
            append(cameras[camera], EPOCH, seq, now_ns, now_ns, join_point, False, bytes(view[at + 4 : at + 4 + size]))
            self.items += 1
            at += 4 + size
        left = self._used - at
        if left and at:
            view[:left] = bytes(view[at : self._used])
        self._used = left

    def connection_lost(self, exc: Exception | None) -> None:
        """The producer is done."""
        self.ended.set()


async def run(config: Config, socket: Path, camera_count: int) -> dict[str, Any]:
    """Serves one producer's items; returns what came of them."""
    clock, settings = SystemClock(), config.broker
    tune_process(settings.pin_core, settings.tune_malloc)
    hub = Hub(
        max_bytes=settings.ring_bytes,
        max_ns=round(settings.ring_seconds * 1e9),
        budget_bytes=settings.memory_bytes,
        item_cost=_ITEM_COST,
    )
    store = await BrokerStore.open(config.run.data_dir / "broker" / "broker.db")
    registry = CameraRegistry(
        hub, store, clock, source_player(1.0), Timing(silent_after_s=600), camera_count, lambda change: None
    )
    names = [f"cam-{number:04}" for number in range(camera_count)]
    for name in names:
        await registry.add(StoredCamera(name, "rtsp://127.0.0.1/none", name, {}, True))
        hub.append_item(name, EpochStarted(camera=name, epoch=EPOCH, origin=EPOCH_ORIGIN_LIVE, codec=CODEC_H264))
    subscriptions = Subscriptions(
        registry,
        hub,
        clock,
        settings.max_subscribers,
        limits=Limits(settings.max_pending_items, settings.max_pending_bytes),
    )
    servicer = BrokerServicer(subscriptions)
    feeder = Feeder(hub, names)
    try:
        async with serve(
            settings.endpoint,
            config,
            servicers=[(broker_pb2_grpc.add_BrokerServiceServicer_to_server, servicer, BROKER_SERVICE)],
            generic=[servicer.stream_handler()],
        ):
            server = await asyncio.get_running_loop().create_unix_server(lambda: feeder, socket)
            gc.collect()
            gc.freeze()
            await feeder.begun.wait()
            await feeder.ended.wait()
            server.close()
            for _ in range(round(_DRAIN_S / _LOOK_S)):
                if not any(subscription.subscriber.ready for subscription in subscriptions.list()):
                    break
                await asyncio.sleep(_LOOK_S)
            cpu_us = (time.process_time_ns() - feeder.cpu_ns) / 1000
            counters = [
                subscription.subscriber.counters(name) for subscription in subscriptions.list() for name in names
            ]
            return {
                "items": feeder.items,
                "subscribers": len(subscriptions.list()),
                "delivered": sum(one.delivered for one in counters),
                "dropped": sum(missed.count for one in counters for missed in one.not_delivered.values()),
                "messages": sum(subscription.subscriber.delivered_batches for subscription in subscriptions.list()),
                "cpu_us": cpu_us,
            }
    finally:
        await registry.stop()
        await store.close()


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--cameras", type=int, required=True)
    options = parser.parse_args()
    json.dump(asyncio.run(run(load(options.config), options.socket, options.cameras)), sys.stdout)


if __name__ == "__main__":
    main()
