"""The clock goes on whatever one tick of it meets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from event_center import clockwork as clock
from event_center.desk import Desk
from event_center.policy import Policy
from event_center.suppression import Situation


class Book:
    """Fails in a way nobody thought of, once."""

    def __init__(self) -> None:
        self.desk = Desk(Policy(), Situation())
        self.ticks = 0
        self.has_gone_on = asyncio.Event()

    async def tick(self) -> int:
        self.ticks += 1
        if self.ticks == 1:
            raise KeyError("of a document that nobody thought of")
        self.has_gone_on.set()
        return 0


async def test_the_clock_goes_on_after_what_nobody_thought_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "EVERY_S", 0.0)
    book: Any = Book()
    async with clock.clockwork(book), asyncio.timeout(10):
        await book.has_gone_on.wait()
