"""Camera states and loads told to the bus, each change once, in order; the broker runs as well without one.

Subject `trueframe.camera.<id>`, CloudEvents type `trueframe.camera.state`, payload JSON:

    {"camera": "gate", "camera_name": "North gate", "state": "lost", "since_ns": …, "detail": "…",
     "last": "gate/EPOCH/SEQ" or null, "before": {"state": "live", "since_ns": …, "duration_ns": …}}

`state` is the proto's name in small letters without its prefix, or "removed". What is said of a camera's clock goes the
same way, told apart by `"about": "clock"` (CloudEvents type `trueframe.camera.clock`): its `state` is "clock-wrong" or
"clock-good", and it has no `before`. Limits of the broker itself are told as `mesh.conditions`. Does not belong here:
deciding states.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from dataclasses import dataclass

from broker.camera import state_name
from broker.clock_watch import ClockVerdict
from broker.load import LoadRow
from broker.registry import StateChange
from mesh.bus import Bus, camera_subject
from mesh.conditions import CONDITION_TYPE, condition_payload, system_subject
from mesh.errors import TrueframeError
from mesh.ids import FrameId, new_event_id
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter

log = get_logger("broker.announcer")

EVENT_TYPE = "trueframe.camera.state"
CLOCK_EVENT_TYPE = "trueframe.camera.clock"
_SERVICE = "broker"
_MAX_PENDING = 4096
# More than any broker accepts cameras; only those added and removed while the bus is away can be as many.
_MAX_THINGS = 32_768
_RETRY_S = 1.0

_dropped = counter("broker_state_events_dropped", "Camera states that were never told: the bus was away too long.")


@dataclass(frozen=True, slots=True)
class _Message:
    about: str
    """What it is told of: of each such thing the newest message always gets through."""
    subject: str
    payload: bytes
    event_id: str
    type: str


class Announcer:
    """Tells the bus. At most 4,096 messages wait for it, and the newest of everything that is told of.

    Beyond that, the oldest go of which a newer one waits, and are counted.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._pending: deque[_Message] = deque()
        self._newest: dict[str, _Message] = {}
        self._news = asyncio.Event()
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Messages that the bus has not stored yet."""
        return len(self._pending)

    def state_changed(self, change: StateChange, camera_name: str, last: FrameId | None) -> None:
        """Puts a change of state into the queue."""
        self._put(
            change.camera,
            {
                "camera": change.camera,
                "camera_name": camera_name,
                "state": state_name(change.after.state),
                "since_ns": change.after.since_ns,
                "detail": change.after.detail,
                "last": str(last) if last else None,
                "before": {
                    "state": state_name(change.before.state),
                    "since_ns": change.before.since_ns,
                    "duration_ns": max(0, change.after.since_ns - change.before.since_ns),
                },
            },
        )

    def removed(self, camera: str, camera_name: str, now_ns: int) -> None:
        """Puts the removal of a camera into the queue."""
        self._put(
            camera,
            {
                "camera": camera,
                "camera_name": camera_name,
                "state": "removed",
                "since_ns": now_ns,
                "detail": "",
                "last": None,
                "before": None,
            },
        )

    def clock_changed(self, verdict: ClockVerdict, camera_name: str, last: FrameId | None) -> None:
        """Puts into the queue that a camera's clock is wrong, or good again."""
        self._put(
            verdict.camera,
            {
                "about": "clock",
                "camera": verdict.camera,
                "camera_name": camera_name,
                "state": "clock-wrong" if verdict.detail else "clock-good",
                "since_ns": verdict.since_ns,
                "detail": verdict.detail,
                "last": str(last) if last else None,
            },
            CLOCK_EVENT_TYPE,
        )

    def load_changed(self, row: LoadRow, now_ns: int) -> None:
        """Puts into the queue that a limit is nearly used up, or good again. `now_ns` is UTC."""
        if row.priority:
            payload = condition_payload(
                _SERVICE,
                row.name,
                holds=row.degraded,
                since_ns=now_ns,
                summary=row.summary,
                priority=row.priority,
                facts={"used": row.used, "limit": row.limit, "unit": row.unit},
            )
            self._queue(_Message(f"load {row.name}", system_subject(_SERVICE), payload, new_event_id(), CONDITION_TYPE))

    async def run(self) -> None:
        """Publishes until cancelled, each message until the bus has stored it."""
        with contextlib.suppress(TrueframeError):
            await self._bus.ensure_stream()
        while True:
            while self._pending:
                message = self._pending[0]
                if not await self._publish(message):
                    await asyncio.sleep(_RETRY_S)
                elif self._pending and self._pending[0] is message:
                    self._forget(self._pending.popleft())
            self._news.clear()
            await self._news.wait()

    async def _publish(self, message: _Message) -> bool:
        try:
            if self._bus.connected:
                await self._bus.publish(message.subject, message.payload, event_id=message.event_id, type=message.type)
                return True
        except TrueframeError as error:
            if rate_limited("announcer", 10):
                log.warning("camera state waits for the bus", pending=len(self._pending), reason=str(error))
            with contextlib.suppress(TrueframeError):
                await self._bus.ensure_stream()
        return False

    def _put(self, camera: str, event: dict[str, object], kind: str = EVENT_TYPE) -> None:
        payload = json.dumps(event, ensure_ascii=False).encode()
        self._queue(_Message(f"{kind} {camera}", camera_subject(camera), payload, new_event_id(), kind))

    def _queue(self, message: _Message) -> None:
        self._pending.append(message)
        self._newest[message.about] = message
        if len(self._pending) > _MAX_PENDING:
            # What is newest of something must get through: it is the state that stands.
            old = next((one for one in self._pending if self._newest[one.about] is not one), None)
            if old is None and len(self._pending) > _MAX_THINGS:
                old = self._pending[0]
            if old is not None:
                self._pending.remove(old)
                self._forget(old)
                self.dropped += 1
                _dropped.inc()
        self._news.set()

    def _forget(self, message: _Message) -> None:
        if self._newest.get(message.about) is message:
            del self._newest[message.about]
