"""Who wants to hear of changed events: one bounded, conflating waiting room for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from event_center.alarm import State
from event_center.errors import WatcherTooSlow
from event_center.event import Event
from mesh.metrics import counter, gauge, histogram

MAX_WAITING = 4096

_watching = gauge("event_center_watchers", "Open watches.")
_ended = counter("event_center_watchers_ended", "Watches ended because they did not read.")
_age = histogram(
    "event_center_alarm_age_seconds", "Age of a new alarm when watchers hear of it: since its first frame, or fault.",
    (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0, 300.0), ("kind",),
)  # fmt: skip

Wanted = Callable[[Event], bool]


class Watcher:
    """Changed events in the order of their last change; of an event that changes again only the newest form waits."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._waiting: dict[str, Event] = {}
        self._woken = asyncio.Event()
        self._is_overrun = False

    def tell(self, event: Event) -> None:
        """An event changed."""
        if not self._wanted(event):
            return
        self._waiting.pop(event.id, None)
        if len(self._waiting) >= MAX_WAITING:
            self._is_overrun = True
        else:
            self._waiting[event.id] = event
        self._woken.set()

    async def next(self) -> Event:
        """The next changed event. Raises WatcherTooSlow once some had to be dropped."""
        while True:
            if self._is_overrun:
                _ended.inc()
                raise WatcherTooSlow(len(self._waiting))
            if self._waiting:
                return self._waiting.pop(next(iter(self._waiting)))
            self._woken.clear()
            await self._woken.wait()


class Watchers:
    """All open watches."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def tell(self, event: Event) -> None:
        """Tells everybody who wants to know."""
        if event.version == 1 and event.alarm.state is not State.NONE:
            _age.labels(event.kind.value).observe(max(event.changed_ns - event.started_ns, 0) / 1e9)
        for watcher in self._watchers:
            watcher.tell(event)

    @contextmanager
    def watching(self, wanted: Wanted) -> Iterator[Watcher]:
        """A watch for the time of a block."""
        watcher = Watcher(wanted)
        self._watchers.add(watcher)
        _watching.set(len(self._watchers))
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            _watching.set(len(self._watchers))
