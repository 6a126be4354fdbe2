"""trueframe for programs: one object that knows a running instance and its services.

    from trueframe.client import connect

    with connect("trueframe-data") as tf:
        for camera in tf.broker.list_cameras():
            print(camera.spec.id, camera.width, camera.height)
        for event in tf.events.list(limit=5):
            print(event.summary, event.score)
            picture = tf.footage.snapshot(FrameId.from_proto(event.peak))
        for item in tf.broker.stream(["gate"]):
            print(item)  # WireFrame, Gap, EpochStarted or EpochEnded; leaving the loop ends the stream
        for item in tf.broker.stream(labels={"site": "north"}, delivery="latest"):
            print(item)  # what is newest of all cameras with that label; "keyframes" gives those alone
        for item in tf.stream_from("gate", time.time_ns() - 60_000_000_000):
            print(item)  # the last minute out of the footage, then live, without a seam

`connect` is for plain programs, `connect_async` the same for asyncio (`async with connect_async() as tf:`, then
`async for item in tf.broker.stream(["gate"]):`). Each service's client is made when it is first used; what they can do
stands in `broker.client`, `media_center.client`, `event_center.client`, `aggregate.client` and `broker.pixel.client`.
What a client may do is up to its token: the one of whoever owns the data folder, unless `token_file` or
$TRUEFRAME_TOKEN_FILE names another. Programs in other languages use the stubs of `proto/` with the endpoints and the
token file that `run/run.json` in the data folder names.

Errors are those of `mesh.errors`: NotRunning (nothing runs on that folder), Unavailable, NotFound, PermissionDenied, …

What should not be in this module: anything that a service's own client does.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mesh.ids import FrameId
from trueframe.layout import DEFAULT_DATA
from trueframe.running import NotRunning, Running, find_running
from trueframe.site import running_site, site_of_environment

if TYPE_CHECKING:
    from aggregate.client import InspectionClient, LedgerClient, SyncInspectionClient, SyncLedgerClient, SyncModelClient
    from broker.client import BrokerClient, SyncBrokerClient
    from broker.discovery.client import DiscoveryClient, SyncDiscoveryClient
    from broker.pixel.client import PixelClient, RingReader, SyncPixelClient
    from event_center.cases.client import CaseClient, SyncCaseClient
    from event_center.client import EventClient, SyncEventClient
    from event_center.notifications.client import SyncNotificationClient
    from event_center.reports.client import ReportClient, SyncReportClient
    from event_center.shifts.client import SyncShiftClient
    from media_center.client import FootageClient, FootageItem, Starts, SyncFootageClient
    from mesh.channel import Token
    from mesh.config import Config

__all__ = ["AsyncClient", "Client", "FrameId", "NotRunning", "Running", "connect", "connect_async"]

_CLIENTS = (
    "broker", "cases", "discovery", "footage", "events", "inspections", "ledger", "models", "notifications", "pixels",
    "reports", "shifts",
)  # fmt: skip


class _Instance:
    """What both kinds of client know."""

    def __init__(self, running: Running, token_file: Path | None = None, site: Config | None = None) -> None:
        self.running = running
        self.token_file = token_file or Path(running.token_file)
        self._site = site

    @cached_property
    def _token(self) -> Token:
        """What is shown to services: the token, and in mesh mode certificates too."""
        from mesh.channel import Credentials
        from mesh.tls import ClientTls

        tls = ClientTls.from_config(self._site.security.tls) if self._site is not None else None
        return Credentials.from_file(self.token_file, tls)

    def open_ring(self, camera: str) -> RingReader:
        """Whole pictures of a camera through shared memory, for programs on this machine; blocking.

        Rings are given to services only: this shows the services' own token, which the owner of the folder may read.
        """
        from broker.pixel.client import RingReader

        token_file = Path(self.running.token_file).with_name("service.token")
        return RingReader(Path(self.running.endpoints["rings"]), token_file, camera)

    def _made(self) -> list[object]:
        return [self.__dict__[name] for name in _CLIENTS if name in self.__dict__]


class Client(_Instance):
    """A running instance for plain programs. Use it as a context manager, or close it."""

    @cached_property
    def broker(self) -> SyncBrokerClient:
        """Cameras and live frames."""
        from broker.client import SyncBrokerClient

        return SyncBrokerClient(self.running.endpoints["broker"], self._token)

    @cached_property
    def discovery(self) -> SyncDiscoveryClient:
        """Devices on the network, their profiles, and what a source would give."""
        from broker.discovery.client import SyncDiscoveryClient

        return SyncDiscoveryClient(self.running.endpoints["broker"], self._token)

    @cached_property
    def footage(self) -> SyncFootageClient:
        """What is recorded: found, replayed, looked at, exported."""
        from media_center.client import SyncFootageClient

        return SyncFootageClient(self.running.endpoints["media_center"], self._token)

    @cached_property
    def events(self) -> SyncEventClient:
        """What happened."""
        from event_center.client import SyncEventClient

        return SyncEventClient(self.running.endpoints["event_center"], self._token)

    @cached_property
    def cases(self) -> SyncCaseClient:
        """Events, clips and notes that belong together."""
        from event_center.cases.client import SyncCaseClient

        return SyncCaseClient(self.running.endpoints["event_center"], self._token)

    @cached_property
    def notifications(self) -> SyncNotificationClient:
        """Who is told of alarms, and what was told."""
        from event_center.notifications.client import SyncNotificationClient

        return SyncNotificationClient(self.running.endpoints["event_center"], self._token)

    @cached_property
    def reports(self) -> SyncReportClient:
        """What happened in a time, written up."""
        from event_center.reports.client import SyncReportClient

        return SyncReportClient(self.running.endpoints["event_center"], self._token)

    @cached_property
    def shifts(self) -> SyncShiftClient:
        """Saved searches and hand-overs."""
        from event_center.shifts.client import SyncShiftClient

        return SyncShiftClient(self.running.endpoints["event_center"], self._token)

    @cached_property
    def inspections(self) -> SyncInspectionClient:
        """What is watched for on which camera."""
        from aggregate.client import SyncInspectionClient

        return SyncInspectionClient(self.running.endpoints["aggregate"], self._token)

    @cached_property
    def ledger(self) -> SyncLedgerClient:
        """What was said of every inspected frame: read, explained, counted."""
        from aggregate.client import SyncLedgerClient

        return SyncLedgerClient(self.running.endpoints["aggregate"], self._token)

    @cached_property
    def models(self) -> SyncModelClient:
        """Models: versions, what runs, what is tried."""
        from aggregate.client import SyncModelClient

        return SyncModelClient(self.running.endpoints["aggregate"], self._token)

    @cached_property
    def pixels(self) -> SyncPixelClient:
        """Decoded pictures of live cameras."""
        from broker.pixel.client import SyncPixelClient

        return SyncPixelClient(self.running.endpoints["pixels"], self._token)

    def stream_from(
        self,
        cameras: str | Iterable[str],
        start: Starts,
        *,
        with_lead_in: bool = False,
        patience_s: float = 5.0,
        subscriber: str = "",
    ) -> Iterator[FootageItem]:
        """Recorded frames from `start` on, then live ones, without a seam: every frame once, in order, gaps told.

        `start`: a FrameId (that frame is the first), UTC nanoseconds, None for the oldest footage, or one by camera.
        Goes on for ever. Footage and broker may restart: it waits and goes on behind the last frame. When live cannot
        give the next frame (you read slower than its ring is long, or a broker died) it is looked for in the footage
        for `patience_s`; what neither has is a Gap. `with_lead_in` begins at the join point that the first frame needs.
        To resume, pass the last FrameId with its seq + 1. Raises InvalidArgument, NotFound, PermissionDenied.
        """
        from media_center.client import stream_from_sync

        return stream_from_sync(
            self.footage,
            self.broker,
            cameras,
            start,
            with_lead_in=with_lead_in,
            patience_s=patience_s,
            subscriber=subscriber,
        )

    def close(self) -> None:
        """Closes the clients that were used."""
        for client in self._made():
            client.close()  # type: ignore[attr-defined]

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_Instance):
    """A running instance for asyncio. Use it as an asynchronous context manager, or close it."""

    @cached_property
    def broker(self) -> BrokerClient:
        """Cameras and live frames."""
        from broker.client import BrokerClient

        return BrokerClient(self.running.endpoints["broker"], self._token)

    @cached_property
    def discovery(self) -> DiscoveryClient:
        """Devices on the network, their profiles, and what a source would give."""
        from broker.discovery.client import DiscoveryClient

        return DiscoveryClient(self.running.endpoints["broker"], self._token)

    @cached_property
    def footage(self) -> FootageClient:
        """What is recorded: found, replayed, looked at, exported."""
        from media_center.client import FootageClient

        return FootageClient(self.running.endpoints["media_center"], self._token)

    @cached_property
    def events(self) -> EventClient:
        """What happened."""
        from event_center.client import EventClient

        return EventClient(self.running.endpoints["event_center"], self._token)

    @cached_property
    def cases(self) -> CaseClient:
        """Events, clips and notes that belong together."""
        from event_center.cases.client import CaseClient

        return CaseClient(self.running.endpoints["event_center"], self._token)

    @cached_property
    def reports(self) -> ReportClient:
        """What happened in a time, written up."""
        from event_center.reports.client import ReportClient

        return ReportClient(self.running.endpoints["event_center"], self._token)

    @cached_property
    def inspections(self) -> InspectionClient:
        """What is watched for on which camera."""
        from aggregate.client import InspectionClient

        return InspectionClient(self.running.endpoints["aggregate"], self._token)

    @cached_property
    def ledger(self) -> LedgerClient:
        """What was said of every inspected frame: read, explained, counted."""
        from aggregate.client import LedgerClient

        return LedgerClient(self.running.endpoints["aggregate"], self._token)

    @cached_property
    def pixels(self) -> PixelClient:
        """Decoded pictures of live cameras."""
        from broker.pixel.client import PixelClient

        return PixelClient(self.running.endpoints["pixels"], self._token)

    def stream_from(
        self,
        cameras: str | Iterable[str],
        start: Starts,
        *,
        with_lead_in: bool = False,
        patience_s: float = 5.0,
        subscriber: str = "",
    ) -> AsyncIterator[FootageItem]:
        """As Client.stream_from."""
        from media_center.client import stream_from

        return stream_from(
            self.footage,
            self.broker,
            cameras,
            start,
            with_lead_in=with_lead_in,
            patience_s=patience_s,
            subscriber=subscriber,
        )

    async def close(self) -> None:
        """Closes the clients that were used."""
        for client in self._made():
            await client.close()  # type: ignore[attr-defined]

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _data(data: str | Path | None) -> str | Path:
    return data if data is not None else os.environ.get("TRUEFRAME_DATA", DEFAULT_DATA)


def _token_file(token_file: str | Path | None) -> Path | None:
    named = token_file or os.environ.get("TRUEFRAME_TOKEN_FILE")
    return Path(named).expanduser() if named else None


def connect(data: str | Path | None = None, token_file: str | Path | None = None) -> Client:
    """The instance that runs on this data folder ($TRUEFRAME_DATA, or ./trueframe-data). Raises NotRunning.

    $TRUEFRAME_CONFIG names the configuration of a site in mesh mode instead, see `trueframe.site`.
    """
    return Client(*_found(data, token_file))


def connect_async(data: str | Path | None = None, token_file: str | Path | None = None) -> AsyncClient:
    """The same for asyncio. Raises NotRunning."""
    return AsyncClient(*_found(data, token_file))


def _found(data: str | Path | None, token_file: str | Path | None) -> tuple[Running, Path | None, Config | None]:
    if (site := site_of_environment()) is not None:
        return running_site(site), _token_file(token_file), site
    return find_running(_data(data)), _token_file(token_file), None
