"""Who watches an instance from outside during `alarm_latency`: frames, bus, events, pictures, each with its time.

All of it is what any client may do; nothing inside the services is measured. What becomes of the records does not
belong here.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from broker.client import FrameId, WireFrame
from broker.pixel.client import Picture
from event_center.client import Event
from mesh.bus import ANOMALIES, Bus, Message
from mesh.errors import TrueframeError
from simulator import sei
from trueframe.client import AsyncClient
from trueframe.layout import layout_of
from trueframe.v1.inspection_pb2 import Anomaly


@dataclass(frozen=True, slots=True)
class Minted:
    """A frame as a LOSSLESS subscriber of the broker got it. Times in nanoseconds, UTC and this host's monotonic."""

    id: FrameId
    received_ns: int
    monotonic_ns: int
    number: int
    """The simulated camera's running number, from the payload."""


@dataclass(slots=True)
class Alarm:
    """An event in the hands of a watching client."""

    event: Event
    """As it came first."""
    monotonic_ns: int
    """When it came."""
    latest: Event
    """As it came last."""


@dataclass(slots=True)
class Seen:
    """Everything that was observed."""

    frames: dict[str, list[Minted]] = field(default_factory=lambda: defaultdict(list))
    alarms: dict[str, Alarm] = field(default_factory=dict)
    on_bus: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By anomaly: when the aggregate wrote its first message, and when that came over the bus. UTC nanoseconds."""
    pictures_ns: list[int] = field(default_factory=list)
    """Age of pictures of one camera in a reader's hands, since the broker received the frame."""
    failures: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def observing(client: AsyncClient, data: Path, picture_camera: str) -> AsyncIterator[Seen]:
    """Watches for the time of a block."""
    seen = Seen()
    stop = threading.Event()
    reader = threading.Thread(target=_pictures, args=(client, picture_camera, seen, stop), daemon=True)
    bus = Bus(client.running.endpoints["nats"], layout_of(data).nats_token.read_text().strip(), name="benchmark")

    async def on_anomaly(message: Message) -> None:
        anomaly = Anomaly.FromString(message.data)
        seen.on_bus.setdefault(anomaly.id, (anomaly.changed_ns, time.time_ns()))

    async with bus:
        bus.subscribe_core(ANOMALIES, on_anomaly)
        watches = [asyncio.create_task(_frames(client, seen)), asyncio.create_task(_alarms(client, seen))]
        reader.start()
        try:
            yield seen
        finally:
            stop.set()
            for watch in watches:
                watch.cancel()
            for result in await asyncio.gather(*watches, return_exceptions=True):
                if isinstance(result, Exception):
                    seen.failures.append(f"{type(result).__name__}: {result}")
            await asyncio.to_thread(reader.join, 5.0)


async def _frames(client: AsyncClient, seen: Seen) -> None:
    async for item in client.broker.stream(all_cameras=True, subscriber="benchmark"):
        if isinstance(item, WireFrame):
            number = sei.read(item.payload)[0]
            seen.frames[item.camera].append(Minted(item.id, item.received_ns, item.monotonic_ns, number))


async def _alarms(client: AsyncClient, seen: Seen) -> None:
    async for event in client.events.watch():
        now_ns = time.monotonic_ns()
        known = seen.alarms.get(event.id)
        if known is None:
            seen.alarms[event.id] = Alarm(event, now_ns, event)
        else:
            known.latest = event


def _pictures(client: AsyncClient, camera: str, seen: Seen, stop: threading.Event) -> None:
    try:
        with client.open_ring(camera) as reader:
            while not stop.is_set():
                item = reader.read(0.25)
                if isinstance(item, Picture):
                    seen.pictures_ns.append(time.time_ns() - item.received_ns)
    except TrueframeError as error:
        seen.failures.append(f"pictures: {error}")
