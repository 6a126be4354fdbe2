"""What ails a service, told to the bus as `trueframe.system.SERVICE`: each change once, in order.

What belongs here: the queue to the bus and what was told last. What does not: deciding that something ails (whoever
watches the disk, say) and the form of the message (`mesh.conditions`).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from dataclasses import dataclass

from mesh.bus import Bus
from mesh.cancellation import honour_cancellation
from mesh.clocks import Clock
from mesh.conditions import CONDITION_TYPE, condition_payload, system_subject
from mesh.errors import TrueframeError
from mesh.ids import new_event_id
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter

log = get_logger("mesh.system_events")

_MAX_PENDING = 1024
_RETRY_S = 1.0

_dropped = counter("system_events_dropped", "Conditions never told: the bus was away too long.", ("service",))


@dataclass(frozen=True, slots=True)
class _Message:
    about: tuple[str, str]
    payload: bytes
    event_id: str


class SystemEvents:
    """Conditions of a service. `tell` may be called in any thread; `run` publishes in the event loop."""

    def __init__(self, service: str, bus: Bus, clock: Clock) -> None:
        self._service = service
        self._bus = bus
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._told: dict[tuple[str, str], bool] = {}
        self._since_ns: dict[tuple[str, str], int] = {}
        self._pending: deque[_Message] = deque()
        self._news = asyncio.Event()
        self._is_sent = asyncio.Event()
        self._is_sent.set()

    def tell(
        self,
        condition: str,
        *,
        holds: bool,
        summary: str,
        camera: str = "",
        priority: int = 3,
        facts: dict[str, object] | None = None,
        anew: bool = False,
    ) -> bool:
        """Tells that a condition begins or is over; False if that was told already.

        What holds not at a start is worth telling once, too: it may have held when the process before was killed.
        `anew`: tells it although it was told, for another summary.
        """
        about = condition, camera
        with self._lock:
            if self._told.get(about) == holds and not anew:
                return False
            # Consumers order by this, so it does not fall when the clock is set back.
            since_ns = max(self._clock.utc_ns(), self._since_ns.get(about, 0) + 1)
            payload = condition_payload(
                self._service, condition, holds=holds, since_ns=since_ns, summary=summary, camera=camera,
                priority=priority, facts=facts,
            )  # fmt: skip
            self._told[about], self._since_ns[about] = holds, since_ns
            self._pending.append(_Message(about, payload, new_event_id()))
            if len(self._pending) > _MAX_PENDING:
                self._drop_one()
        if holds:
            log.warning(summary, condition=condition, camera=camera)
        else:
            log.info("condition does not hold", condition=condition, camera=camera)
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is told any more
            self._loop.call_soon_threadsafe(self._wake)
        return True

    def holds(self, condition: str, camera: str = "") -> bool:
        """Whether it was told last that a condition holds."""
        with self._lock:
            return self._told.get((condition, camera), False)

    def is_told(self, condition: str, camera: str = "") -> bool:
        """Whether it holds, and the bus has stored that."""
        with self._lock:
            about = condition, camera
            return self._told.get(about, False) and all(message.about != about for message in self._pending)

    async def wait_told(self, timeout_s: float) -> bool:
        """Waits until the bus has stored everything told so far; False if it has not within the time."""
        with self._lock:
            if not self._pending:
                return True
        self._is_sent.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._is_sent.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Publishes until cancelled, each message until the bus has stored it."""
        with contextlib.suppress(TrueframeError):
            await self._bus.ensure_stream()
        honour_cancellation()
        while True:
            while message := self._first():
                is_published = await self._publish(message)
                honour_cancellation()
                if is_published:
                    self._remove(message)
                else:
                    await asyncio.sleep(_RETRY_S)
            self._is_sent.set()
            self._news.clear()
            if not self._first():
                await self._news.wait()

    async def _publish(self, message: _Message) -> bool:
        try:
            if self._bus.connected:
                await self._bus.publish(
                    system_subject(self._service), message.payload, event_id=message.event_id, type=CONDITION_TYPE
                )
                return True
        except TrueframeError as error:
            if rate_limited("system events", 10):
                log.warning("conditions wait for the bus", pending=len(self._pending), reason=str(error))
            with contextlib.suppress(TrueframeError):
                await self._bus.ensure_stream()
        return False

    def _wake(self) -> None:
        self._news.set()

    def _first(self) -> _Message | None:
        with self._lock:
            return self._pending[0] if self._pending else None

    def _remove(self, message: _Message) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._pending.remove(message)

    def _drop_one(self) -> None:
        """Lets go of the oldest message of which a newer one waits: the state that stands always gets through."""
        newest = {message.about: message for message in self._pending}
        old = next((message for message in self._pending if newest[message.about] is not message), self._pending[0])
        self._pending.remove(old)
        _dropped.labels(self._service).inc()
