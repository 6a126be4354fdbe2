"""What ails the media center, told to the bus as conditions of trueframe: each begins once and is over once, in order.

What belongs here: the queue to the bus and what was told last. What does not: deciding that something ails (its owners:
`storage_watch`, retention, scrubbing), the form of the message (`mesh.conditions`).

`SystemEvents.tell` may be called from any thread, as often as somebody looks: what has not changed is not told again.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from dataclasses import dataclass

from mesh.bus import Bus
from mesh.clocks import Clock
from mesh.conditions import CONDITION_TYPE, condition_payload, system_subject
from mesh.errors import TrueframeError
from mesh.ids import new_event_id
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter

log = get_logger("media_center.system_events")

SERVICE = "media-center"
_MAX_PENDING = 1024
_MAX_THINGS = 8192
_RETRY_S = 1.0

_dropped = counter("footage_conditions_dropped", "Conditions of the media center that were never told to the bus.")


@dataclass(frozen=True, slots=True)
class _Message:
    thing: tuple[str, str]
    payload: bytes
    event_id: str


@dataclass(frozen=True, slots=True)
class _Told:
    holds: bool
    summary: str
    priority: int
    since_ns: int


class SystemEvents:
    """Tells the bus, as long as `run` runs. At most 1,024 messages wait for it; beyond that the oldest go, counted."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: deque[_Message] = deque()
        self._told: dict[tuple[str, str], _Told] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Messages that the bus has not stored yet."""
        return len(self._pending)

    @property
    def holding(self) -> dict[tuple[str, str], str]:
        """What ails now: (condition, camera) to its sentence."""
        with self._lock:
            return {thing: told.summary for thing, told in self._told.items() if told.holds}

    def tell(
        self,
        condition: str,
        *,
        holds: bool,
        summary: str,
        camera: str = "",
        priority: int = 3,
        facts: dict[str, object] | None = None,
    ) -> bool:
        """Queues that a condition holds, or is over; returns whether that is news.

        `condition`: a word such as "slow_disk"; one of one camera (or none) is one thing. `summary`: a sentence for an
        operator, beginning with what is concerned; a new one of a condition that holds is told, so it should not
        contain figures that always move (`facts` may). At the first call of a process both states are told, so that
        what held when an earlier one was killed does not hold for ever. Raises InvalidArgument for an ill-formed word.
        """
        thing = (condition, camera)
        with self._lock:
            before = self._told.get(thing)
            if before is not None and before.holds == holds and (
                not holds or (before.summary, before.priority) == (summary, priority)
            ):  # fmt: skip
                return False
            # Consumers order by this, so it must not fall when the clock is set back.
            since_ns = self._clock.utc_ns()
            if before is not None:
                since_ns = max(since_ns, before.since_ns + 1)
            payload = condition_payload(
                SERVICE, condition, holds=holds, since_ns=since_ns, summary=summary, camera=camera, priority=priority,
                facts=facts,
            )  # fmt: skip
            if before is None and len(self._told) >= _MAX_THINGS:
                self._told.pop(next(iter(self._told)))
            self._told[thing] = _Told(holds, summary, priority, since_ns)
            self._pending.append(_Message(thing, payload, new_event_id()))
            if len(self._pending) > _MAX_PENDING:
                self._drop_one()
            loop = self._loop
        if before is not None or holds:
            (log.warning if holds else log.info)(
                "condition holds" if holds else "condition is over", condition=condition, camera=camera, summary=summary
            )
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._news.set)
        return before is not None or holds

    def _drop_one(self) -> None:
        newest = {message.thing: message for message in self._pending}
        # What is newest of something is the state that stands: it goes last.
        old = next((one for one in self._pending if newest[one.thing] is not one), self._pending[0])
        self._pending.remove(old)
        self.dropped += 1
        _dropped.inc()

    async def run(self) -> None:
        """Publishes until cancelled, each message until the bus has stored it."""
        self._loop = asyncio.get_running_loop()
        with contextlib.suppress(TrueframeError):
            await self._bus.ensure_stream()
        while True:
            self._news.clear()
            while self._pending:
                message = self._pending[0]
                if not await self._publish(message):
                    await asyncio.sleep(_RETRY_S)
                    continue
                with self._lock:
                    if self._pending and self._pending[0] is message:
                        self._pending.popleft()
            await self._news.wait()

    async def _publish(self, message: _Message) -> bool:
        try:
            if self._bus.connected:
                await self._bus.publish(
                    system_subject(SERVICE), message.payload, event_id=message.event_id, type=CONDITION_TYPE
                )
                return True
        except TrueframeError as error:
            if rate_limited("footage conditions", 10):
                log.warning("condition waits for the bus", pending=len(self._pending), reason=str(error))
            with contextlib.suppress(TrueframeError):
                await self._bus.ensure_stream()
        return False
