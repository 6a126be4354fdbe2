"""The part of an event center that notifies, in this process, on a real store; and an HTTP server that it posts to."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from event_center.book import EventBook
from event_center.event import Box
from event_center.folding import AnomalyReport
from event_center.notifications.delivery import Content, Delivery
from event_center.notifications.journal import DeliveryFilter, Journal
from event_center.notifications.running import Notifications
from event_center.notifications.still import Still
from mesh.bus import Bus
from mesh.clocks import SystemClock
from mesh.config_notifications import NotificationChannel, NotificationRule, NotificationsConfig, check_notifications
from mesh.ids import FrameId
from mesh.store import SqliteStore
from mesh.system_events import SystemEvents
from mesh.zones import site_zone
from tests.real_peers import free_port

JPEG = b"\xff\xd8\xff a still \xff\xd9"


class NoFootage:
    """Stills without a media center: one that is always there."""

    async def still(self, content: Content, wait_s: float) -> tuple[Still | None, str]:
        return Still(JPEG), ""


@dataclass
class Notified:
    """What a test holds of it."""

    book: EventBook
    journal: Journal
    conditions: SystemEvents
    notifications: Notifications

    async def raise_alarm(self, number: int, camera: str = "yard", *, is_over: bool = False, version: int = 1) -> str:
        """An anomaly of an inspection of its own."""
        frame = FrameId(camera, 1, number)
        now_ns = time.time_ns()
        await self.book.tell_anomaly(AnomalyReport(
            id=f"a{number:05d}", version=version, camera=camera, camera_name="", detector="motion@1", first=frame,
            peak=frame, last=frame, started_ns=now_ns, peak_ns=now_ns, ended_ns=now_ns if is_over else 0, score=0.9,
            boxes=(Box(0.1, 0.2, 0.3, 0.4, "person", 0.9),), regions=("door",), inspection=f"{camera}.motion-{number}",
        ))  # fmt: skip
        return f"a{number:05d}"

    async def deliveries(self, **wanted: Any) -> list[Delivery]:
        """All that was ever to be told, oldest first."""
        found, _ = await self.journal.page(DeliveryFilter(**wanted), 1000, "")
        return found[::-1]

    async def progress(self) -> list[str]:
        """How far each is."""
        return [one.progress.value for one in await self.deliveries()]


@contextlib.asynccontextmanager
async def notified(folder: Path, config: NotificationsConfig) -> AsyncIterator[Notified]:
    """Runs for the time of a block; again on the same folder, it goes on. No bus is there."""
    check_notifications(config)
    async with SqliteStore(folder / "events.sqlite") as store:
        book = await EventBook.open(store)
        conditions = SystemEvents("event-center", Bus("nats://127.0.0.1:1"), SystemClock())
        notifications = await Notifications.open(config, book, store, conditions, NoFootage(), site_zone("UTC"))
        async with notifications.running():
            yield Notified(book, await Journal.open(store), conditions, notifications)


def config(*channels: NotificationChannel, rules: list[NotificationRule] | None = None) -> NotificationsConfig:
    """Channels, and one rule that tells all of them of everything."""
    everything = NotificationRule("all", tuple(one.id for one in channels), ("raise", "escalate", "return"), at_most=0)
    return NotificationsConfig(channels=channels, rules=tuple(rules if rules is not None else [everything]))


@dataclass
class Posted:
    """What somebody posted."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """An HTTP server. `answers`: statuses for the next requests, then 200 for ever; `stop` and `start` as one likes."""

    posted: list[Posted] = field(default_factory=list)
    refused: list[Posted] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    is_slow: threading.Event = field(default_factory=threading.Event)
    port: int = field(default_factory=free_port)
    _server: http.server.ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=geheim"

    @property
    def ids(self) -> list[str]:
        """Ids of what was taken, in order."""
        return [one.headers["Trueframe-Id"] for one in self.posted]

    def start(self) -> None:
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                if receiver.is_slow.is_set():
                    # One byte at a time, and never the last: no timeout of a socket notices.
                    with contextlib.suppress(OSError):
                        while receiver.is_slow.is_set():
                            self.wfile.write(b"H")
                            time.sleep(0.05)
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posted = Posted(self.path, dict(self.headers), body)
                status = receiver.answers.pop(0) if receiver.answers else 200
                (receiver.posted if status < 300 else receiver.refused).append(posted)
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nobody reads it."""

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.is_slow.clear()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """A running server."""
    one = Receiver()
    one.start()
    try:
        yield one
    finally:
        one.stop()
