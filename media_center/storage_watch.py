"""Looks at the disk a few times a second and tells what ails it, and that it is over.

What belongs here: the rhythm of looking. What does not: judging (`storage_health`), the bus (`system_events`).
"""

from __future__ import annotations

import asyncio

from media_center.storage_health import Condition, StorageHealth
from media_center.system_events import SystemEvents
from media_center.writer import FootageWriter

_EVERY_S = 0.25


class StorageWatch:
    """What ails the disk under the footage, as it was at the last look."""

    def __init__(self, writer: FootageWriter, events: SystemEvents, slow_write_s: float) -> None:
        self._writer = writer
        self._events = events
        self._health = StorageHealth(round(slow_write_s * 1e9), writer.times)
        self.conditions: list[Condition] = []

    @property
    def detail(self) -> str:
        """What is wrong, for a human; empty while it is good."""
        return " ".join(one.summary for one in self.conditions if one.holds)

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_EVERY_S)

    def look(self) -> None:
        """Looks once. To be called in the event loop."""
        self.conditions = self._health.judge(self._writer.reading())
        for one in self.conditions:
            self._events.tell(one.name, holds=one.holds, summary=one.summary, priority=one.priority)
