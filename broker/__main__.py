"""`python -m broker --config FILE`: the broker process. Composition only."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from broker.admission import Capacity
from broker.announcer import Announcer
from broker.camera import Timing
from broker.clock_watch import ClockVerdict, ClockWatch
from broker.core import Hub
from broker.discovery.probe import Prober
from broker.discovery.service import DISCOVERY_SERVICE, DiscoveryServicer
from broker.load_watch import LoadWatch, raise_descriptor_limit
from broker.metrics import BrokerCollector
from broker.registry import CameraRegistry, StateChange, source_player
from broker.service import BROKER_SERVICE, CAMERA_SERVICE, BrokerServicer, CameraServicer
from broker.store import BrokerStore, StoredCamera
from broker.subscriptions import Limits, Subscriptions
from broker.tuning import tune_process
from broker.view import load_view
from mesh.bus import Bus
from mesh.clocks import SystemClock
from mesh.config import CameraSeed, Config
from mesh.errors import InvalidArgument
from mesh.logs import get_logger
from mesh.masks import Mask, checked
from mesh.runner import run_service
from mesh.secrets_at_rest import SealingKeys, SecretLocked, is_sealed
from mesh.server import serve
from trueframe.v1 import broker_pb2_grpc, cameras_pb2_grpc, discovery_pb2_grpc
from trueframe.v1.cameras_pb2 import TRANSPORT_TCP, TRANSPORT_UDP, TRANSPORT_UNSPECIFIED

log = get_logger("broker")

# Host names are resolved in threads; a hanging resolver of some cameras must leave some for the others.
_RESOLVERS = 64
_DRAIN_S = 1.5
# Beside its bytes, an item in a ring has a Python object around it and an entry: 33 + 16 + 112, and room to grow.
_ITEM_COST = 256
_TRANSPORTS = {"auto": TRANSPORT_UNSPECIFIED, "tcp": TRANSPORT_TCP, "udp": TRANSPORT_UDP}


async def main(config: Config) -> None:
    """Serves until cancelled; then ends every epoch in order and hands out what subscribers have not had yet."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="resolver"))
    clock = SystemClock()
    settings = config.broker
    tune_process(settings.pin_core, settings.tune_malloc)
    async with contextlib.AsyncExitStack() as stack:
        key_file = config.credentials_key_file
        store = await BrokerStore.open(config.run.data_dir / "broker" / "broker.db", SealingKeys(key_file))
        stack.push_async_callback(store.close)
        bus = await stack.enter_async_context(Bus.from_config(config, "broker"))
        announcer = Announcer(bus)
        hub = Hub(
            max_bytes=settings.ring_bytes,
            max_ns=round(settings.ring_seconds * 1e9),
            budget_bytes=settings.memory_bytes,
            item_cost=_ITEM_COST,
        )
        capacity = Capacity(
            settings.max_cameras,
            settings.max_subscribers,
            settings.memory_bytes,
            settings.min_ring_seconds,
            raise_descriptor_limit(),
        )

        def on_state(change: StateChange) -> None:
            entry = registry.get(change.camera)
            announcer.state_changed(change, entry.stored.display_name or change.camera, entry.feed.newest_id)

        def on_clock(verdict: ClockVerdict) -> None:
            entry = registry.get(verdict.camera) if verdict.camera in registry else None
            name = entry.stored.display_name if entry else ""
            announcer.clock_changed(verdict, name or verdict.camera, entry.feed.newest_id if entry else None)

        play = source_player(settings.connect_timeout_s)
        registry = CameraRegistry(
            hub,
            store,
            clock,
            play,
            Timing(silent_after_s=settings.silent_after_s),
            settings.max_cameras,
            on_state,
            lambda camera: load.admit_camera(camera),
        )
        clocks = ClockWatch(registry, clock, round(settings.clock_alarm_s * 1e9), on_clock)
        registry.follow(lambda camera: None, lambda camera: announcer.removed(camera, camera, clock.utc_ns()))
        registry.follow(lambda camera: None, clocks.forget)
        subscriptions = Subscriptions(
            registry,
            hub,
            clock,
            settings.max_subscribers,
            lambda: load.admit_subscription(),
            Limits(settings.max_pending_items, settings.max_pending_bytes),
        )
        load = LoadWatch(
            registry, subscriptions, hub, clock, capacity, lambda row: announcer.load_changed(row, clock.utc_ns())
        )
        stack.enter_context(BrokerCollector(registry, subscriptions, load))
        broker = BrokerServicer(subscriptions, lambda: load_view(load.rows, load.measured_ns))
        cameras = CameraServicer(registry, clock)
        discovery = DiscoveryServicer(registry, Prober(registry, play, clock))
        await stack.enter_async_context(
            serve(
                settings.endpoint,
                config,
                servicers=[
                    (broker_pb2_grpc.add_BrokerServiceServicer_to_server, broker, BROKER_SERVICE),
                    (cameras_pb2_grpc.add_CameraServiceServicer_to_server, cameras, CAMERA_SERVICE),
                    (discovery_pb2_grpc.add_DiscoveryServiceServicer_to_server, discovery, DISCOVERY_SERVICE),
                ],
                generic=[broker.stream_handler()],
                audit="broker",
            )
        )
        background = [
            asyncio.create_task(announcer.run()),
            asyncio.create_task(_sample(registry, clocks)),
            asyncio.create_task(load.run()),
        ]
        try:
            await registry.start(_seeds(config.cameras, SealingKeys(key_file)))
            # What is loaded now stays: a full collection that walks all of it would stall every camera for 20 ms.
            gc.collect()
            gc.freeze()
            await asyncio.gather(*background)
        finally:
            # In this order: the last items of every epoch are in the rings before the streams end.
            await registry.stop()
            subscriptions.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_S):
                    await subscriptions.drained()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)


async def _sample(registry: CameraRegistry, clocks: ClockWatch) -> None:
    while True:
        registry.sample_rates()
        clocks.look()
        await registry.follow_keys()
        await asyncio.sleep(1.0)


def _seeds(seeds: Iterable[CameraSeed], keys: SealingKeys) -> Iterator[StoredCamera]:
    """The supervisor seals what it writes into the configuration of an embedded instance."""
    for seed in seeds:
        try:
            # Masks that do not hold must not leave a camera without any.
            yield _seed(seed, keys.open(seed.source, f"camera {seed.id}") if is_sealed(seed.source) else seed.source)
        except (SecretLocked, InvalidArgument) as error:
            log.error("camera of the configuration is left out", camera=seed.id[:80], reason=str(error))


def _seed(seed: CameraSeed, source: str) -> StoredCamera:
    return StoredCamera(
        seed.id,
        source,
        seed.display_name,
        dict(seed.labels),
        seed.disabled,
        transport=_TRANSPORTS[seed.transport],
        tls_sha256=seed.tls_sha256,
        device=seed.device,
        masks=checked(Mask(mask.name, mask.corners) for mask in seed.masks),
    )


if __name__ == "__main__":
    run_service(main)
