"""Who watches the watchers: the event center asks every part whether it serves; silence is an alarm.

The alarm is entered into the book directly: the bus may be what is silent. Who watches the event center is not here:
the supervisor, the terminal and every command that watches. Workers are watched by the aggregate, which tells the bus.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from event_center.book import EventBook
from event_center.conditions import ConditionReport
from event_center.silence import Silence
from mesh.channel import connect
from mesh.clocks import Clock
from mesh.config import Config
from mesh.errors import TrueframeError
from mesh.logs import get_logger, rate_limited
from mesh.metrics import gauge
from mesh.server import unix_path
from mesh.tls import ClientTls

log = get_logger("event_center.watching")

SERVICE = "event-center"
PRIORITY = 1
FIRST_AFTER_S = 60.0
_NS = 1_000_000_000
Asks = Callable[[float], Awaitable[bool]]

_silent = gauge("event_center_part_silent", "1 while a part does not answer and an alarm stands for it.", ("part",))


@dataclass(frozen=True, slots=True)
class Part:
    """What is asked. `asks` takes the longest wait in seconds and never raises; `is_here`: it may be there at all."""

    name: str
    title: str
    loses: str
    """What does not happen meanwhile, for an operator."""
    asks: Asks
    is_here: Callable[[], bool] = lambda: True


_SERVICES = {
    "broker": ("frame broker", "no camera gives a picture"),
    "pixels": ("pixel host", "nothing is decoded: detectors and walls are blind"),
    "media_center": ("media center", "nothing is recorded"),
    "aggregate": ("aggregate", "no anomaly is found"),
}


def parts_of(config: Config) -> list[Part]:
    """The services that the configuration names, and the bus."""
    tls = ClientTls.from_config(config.security.tls)
    parts = []
    for name, (title, loses) in _SERVICES.items():
        endpoint = str(getattr(config, name).endpoint)
        parts.append(Part(name, title, loses, _serves(endpoint, tls), _may_be_here(endpoint)))
    parts.append(Part("bus", "NATS", "alarms come late: what is to be told waits", _greets(config.nats.url)))
    return parts


def _may_be_here(endpoint: str) -> Callable[[], bool]:
    """A socket that was never there is of a service that runs elsewhere: in a mesh, endpoints have defaults too."""
    path = unix_path(endpoint)
    return (lambda: True) if path is None else path.exists


def _serves(endpoint: str, tls: ClientTls | None) -> Asks:
    async def ask(within_s: float) -> bool:
        # A line of its own each time: one that broke would wait before it is made again.
        channel = connect(endpoint, None, tls=tls)
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=within_s)
        except (grpc.RpcError, TrueframeError):
            return False
        finally:
            await channel.close()
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    return ask


def _greets(urls: str) -> Asks:
    """Whether one of these NATS servers greets: a process that stands still has connections, and says nothing."""
    places = [(place.hostname or "127.0.0.1", place.port or 4222) for place in map(urlsplit, urls.split(","))]

    async def greets(host: str, port: int) -> bool:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            return (await reader.readline()).startswith(b"INFO ")
        finally:
            writer.close()

    async def ask(within_s: float) -> bool:
        for host, port in places:
            try:
                async with asyncio.timeout(within_s / len(places)):
                    if await greets(host, port):
                        return True
            except (OSError, TimeoutError, ValueError):
                continue
        return False

    return ask


class Watch:
    """Asks all parts until cancelled. `run` never ends by itself."""

    def __init__(self, parts: list[Part], book: EventBook, clock: Clock, after_s: float) -> None:
        """`after_s`: a part that does not answer for so long is silent."""
        self._parts = parts
        self._book = book
        self._clock = clock
        self._after_s = after_s
        self._every_s = min(2.0, after_s / 4)
        self._within_s = min(3.0, after_s / 2)
        self._told: dict[str, bool] = {}
        self._since_ns: dict[str, int] = {}

    @property
    def told(self) -> Mapping[str, bool]:
        """Whether each part is silent, as the book was told last."""
        return self._told

    async def run(self) -> None:
        """Asks every part by itself: one that is silent delays no other."""
        async with asyncio.TaskGroup() as tasks:
            for part in self._parts:
                tasks.create_task(self._watch(part), name=f"watch {part.name}")

    async def _watch(self, part: Part) -> None:
        step_s = self._every_s + self._within_s
        silence = Silence(
            after_ns=round(self._after_s * _NS),
            first_after_ns=round(max(self._after_s, FIRST_AFTER_S) * _NS),
            longest_step_ns=round(step_s * _NS),
            asked_ns=self._clock.monotonic_ns(),
        )
        while True:
            if await part.asks(self._within_s):
                silence.answered(self._clock.monotonic_ns())
                await self._tell(part, silent=False)
            elif silence.has_answered or part.is_here():
                silence.missed(self._clock.monotonic_ns())
                if silence.is_silent:
                    await self._tell(part, silent=True)
            await asyncio.sleep(self._every_s)

    async def _tell(self, part: Part, *, silent: bool) -> None:
        """Tells the book what is new; what could not be stored is told again at the next question."""
        if self._told.get(part.name) == silent:
            return
        # Consumers order by this, so it does not fall when the clock is set back.
        since_ns = max(self._clock.utc_ns(), self._since_ns.get(part.name, 0) + 1)
        summary = f"The {part.title} does not answer: {part.loses}."
        report = ConditionReport(SERVICE, f"silent_{part.name}", "", silent, since_ns, summary, PRIORITY)
        try:
            await self._book.tell_condition(report)
        except TrueframeError as error:
            if rate_limited(f"silence of {part.name}", 10.0):
                log.warning("silence cannot be stored", part=part.name, reason=str(error))
            return
        if silent or self._told.get(part.name):
            log.warning("part is silent" if silent else "part answers again", part=part.name)
        self._told[part.name], self._since_ns[part.name] = silent, since_ns
        _silent.labels(part.name).set(silent)
