"""Last epochs in memory, for tests of whoever mints them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping


class MemoryEpochs:
    """The port. `gate` holds writes back while it is clear; `is_held` says that one waits at it; `error` fails them."""

    def __init__(self, last: Mapping[str, int] | None = None) -> None:
        self.last = dict(last or {})
        self.writes = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_held = False
        self.error: Exception | None = None

    async def load(self) -> Mapping[str, int]:
        return self.last

    async def save(self, last: Mapping[str, int]) -> None:
        self.is_held = not self.gate.is_set()
        await self.gate.wait()
        self.is_held = False
        if self.error is not None:
            raise self.error
        self.writes += 1
        self.last = dict(last)
