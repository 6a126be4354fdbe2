"""One channel at work: takes what waits in its queue, tries until it gets through, and says when it does not.

A channel that does not work is a condition of the event center, and so an alarm. What does not belong here: how a
message looks and travels (the carriers: `webhook`, `mail`, `mqtt`, `program`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from event_center.notifications.delivery import Content, Delivery, Progress
from event_center.notifications.errors import Deferred, DeliveryError, Refused
from event_center.notifications.journal import Journal
from event_center.notifications.queueing import Queue, pause_s
from event_center.notifications.still import Still
from mesh.clocks import Clock
from mesh.config_notifications import NotificationChannel
from mesh.errors import TrueframeError
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter, gauge
from mesh.redact import redact

log = get_logger("event_center.notifications")

_FAILURES_OF_AN_ALARM = 2
_STORE_RETRY_S = 1.0
_SHORTEST_STILL_WAIT_S = 1.0
MAX_REASON = 500

_done = counter("notifications_deliveries", "Deliveries that came to an end, by how.", ("channel", "progress"))
_failed = counter("notifications_attempts_failed", "Attempts that are made again.", ("channel",))
_waiting = gauge("notifications_waiting", "Deliveries that wait.", ("channel",))


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a carrier takes along. `still`: the picture; `without`: why there is none, empty if none belongs to it."""

    id: str
    content: Content
    sent_ns: int
    still: Still | None = None
    without: str = ""


class Carrier(Protocol):
    """Brings one message to the other side."""

    carries_stills: bool

    async def carry(self, parcel: Parcel) -> str:
        """Returns once the other side has it, with what is to be noted; raises Refused or Deferred."""
        ...


class Pictures(Protocol):
    """Where stills come from."""

    async def still(self, content: Content, wait_s: float) -> tuple[Still | None, str]:
        """The still, or why there is none, within so many seconds."""
        ...


Condition = Callable[[str, bool, str], object]
"""Tells that something ails a channel, or is over: name, whether it holds, a sentence."""


class Outlet:
    """A channel with its queue. `run` for ever; `add` what is written in the journal already."""

    def __init__(
        self, channel: NotificationChannel, carrier: Carrier, pictures: Pictures, journal: Journal, tell: Condition,
        clock: Clock, dice: random.Random | None = None,
    ) -> None:  # fmt: skip
        self.channel = channel
        self.failing_since_ns = 0
        self.reason = ""
        """Why the last attempt failed, as long as none succeeded since."""
        self._carrier = carrier
        self._pictures = pictures
        self._journal = journal
        self._tell = tell
        self._clock = clock
        self._dice = dice or random.Random()
        self._queue = Queue(channel.queue)
        self._news = asyncio.Event()
        self._failures = 0
        # Came to an end, and the store does not know yet. No more than the queue holds: what is new needs the store.
        self._over: dict[str, Delivery] = {}

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    def has(self, delivery_id: str) -> bool:
        """Whether it waits here, or was done and is still to be noted."""
        return delivery_id in self._queue or delivery_id in self._over

    async def add(self, delivery: Delivery) -> None:
        """Lets a delivery wait its turn. Raises the store's errors; it waits all the same."""
        shed = self._queue.add(delivery, is_failing=bool(self._failures))
        _waiting.labels(self.channel.id).set(len(self._queue))
        self._news.set()
        for one in shed:
            if one.progress is Progress.DROPPED and rate_limited(f"dropped {self.channel.id}", 10.0):
                log.warning("notifications dropped: too many wait", channel=self.channel.id, bound=self.channel.queue)
            self._end(one.delivery, one.progress, one.delivery.reason)
        await self._note_ends()

    async def run(self) -> None:
        """Delivers until cancelled."""
        if not self._queue:
            # It may have failed when the process before was killed. With something to deliver, that will tell.
            self._tell(self._condition, False, "")
        while True:
            try:
                # First of all: what was sent is not sent again for as long as the store is away.
                await self._note_ends()
                delivery = self._queue.next()
                if delivery is None:
                    self._news.clear()
                    await self._news.wait()
                    continue
                await self._attempt(delivery)
            except TrueframeError as error:
                if rate_limited(f"outlet {self.channel.id}", 10.0):
                    log.warning("deliveries wait for the store", channel=self.channel.id, reason=str(error))
                await asyncio.sleep(_STORE_RETRY_S)
            except Exception as error:
                # Nobody would notice an outlet that has ended.
                log.exception("a delivery failed unexpectedly", channel=self.channel.id, error=type(error).__name__)
                self._failing(f"unexpected {type(error).__name__}", is_alarm=True)
                await asyncio.sleep(_STORE_RETRY_S)

    async def try_now(self, delivery: Delivery) -> tuple[bool, str]:
        """Carries a message past the queue, once; whether it arrived, and what there is to say. For tests by people."""
        try:
            return True, await self._carry(delivery)
        except DeliveryError as error:
            return False, _said(error)

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            note = await self._carry(delivery)
        except Refused as error:
            self._failing(_said(error), is_alarm=True)
            self._end(delivery, Progress.REFUSED, _said(error))
        except Deferred as error:
            self._failures += 1
            _failed.labels(self.channel.id).inc()
            self._failing(_said(error), is_alarm=self._failures >= _FAILURES_OF_AN_ALARM)
            await self._put_off(delivery, _said(error))
            pause = pause_s(self._failures, self.channel.longest_wait_s, self._dice.random())
            await asyncio.sleep(max(pause, min(error.after_s, self.channel.longest_wait_s)))
        else:
            self._failures, self.failing_since_ns, self.reason = 0, 0, ""
            self._tell(self._condition, False, "")
            self._end(delivery, Progress.SENT, note)

    async def _carry(self, delivery: Delivery) -> str:
        still, without = None, ""
        if self.channel.still and self._carrier.carries_stills and delivery.content.frame:
            # What waited in the queue has waited for its picture, too.
            waited_s = max(self._clock.utc_ns() - delivery.made_ns, 0) / 1e9
            whole_s = self.channel.still_wait_s
            still, without = await self._pictures.still(
                delivery.content, max(whole_s - waited_s, min(whole_s, _SHORTEST_STILL_WAIT_S))
            )
        parcel = Parcel(delivery.id, delivery.content, self._clock.utc_ns(), still, without)
        try:
            note = await self._carrier.carry(parcel)
        except DeliveryError:
            raise
        except Exception as error:
            # A carrier that fails in a way nobody thought of must not end the channel.
            log.exception("a channel failed unexpectedly", channel=self.channel.id, error=type(error).__name__)
            raise Deferred(f"unexpected {type(error).__name__}") from None
        return "; ".join(filter(None, (note, without)))

    async def _put_off(self, delivery: Delivery, reason: str) -> None:
        """Lets it wait for the next attempt, or gives it up."""
        age_ns = self._clock.utc_ns() - delivery.made_ns
        if age_ns > self.channel.give_up_after_s * 1e9:
            self._end(delivery, Progress.GIVEN_UP, reason)
            await self._note_ends()
            return
        delivery = replace(delivery, attempts=delivery.attempts + 1, reason=reason)
        if delivery.id in self._queue:
            self._queue.note(delivery)
            await self._journal.note(delivery)

    def _end(self, delivery: Delivery, progress: Progress, reason: str) -> None:
        self._over[delivery.id] = replace(
            delivery, progress=progress, reason=reason, done_ns=self._clock.utc_ns(),
            attempts=delivery.attempts + (progress in (Progress.SENT, Progress.REFUSED)),
        )  # fmt: skip
        self._queue.remove(delivery.id)
        _done.labels(self.channel.id, progress.value).inc()
        _waiting.labels(self.channel.id).set(len(self._queue))

    async def _note_ends(self) -> None:
        """Writes down what came to an end. Raises the store's errors; it is tried again before the next attempt."""
        for delivery in list(self._over.values()):
            await self._journal.note(delivery)
            if self._over.get(delivery.id) is delivery:
                # Else what gave way while it was on its way has arrived meanwhile.
                del self._over[delivery.id]

    def _failing(self, reason: str, *, is_alarm: bool) -> None:
        self.reason = reason
        self.failing_since_ns = self.failing_since_ns or self._clock.utc_ns()
        if rate_limited(f"channel {self.channel.id}", 10.0):
            log.warning("a notification did not get through", channel=self.channel.id, reason=reason)
        if is_alarm:
            self._tell(self._condition, True, f"Notifications over {self.channel.id} do not get through: {reason}")

    @property
    def _condition(self) -> str:
        return f"channel_{self.channel.id}"


def _said(error: DeliveryError) -> str:
    return redact(" ".join(error.reason.split()))[:MAX_REASON]
