"""Epochs: one unbroken connection each, numbered so that they only grow, stored before use.

Belongs here: minting numbers and the time arithmetic of one epoch. Does not belong here: frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mesh.clocks import Clock

CLOCK_STEP_NS = 500_000_000


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch. `started_ns` is UTC, `monotonic_ns` the same moment on the monotonic clock."""

    camera: str
    number: int
    started_ns: int
    monotonic_ns: int

    def received_ns(self, monotonic_ns: int) -> int:
        """UTC of a later moment: the epoch's start plus monotonic time, so that it never jumps inside an epoch."""
        return self.started_ns + (monotonic_ns - self.monotonic_ns)

    def is_stepped(self, utc_ns: int, monotonic_ns: int) -> bool:
        """Whether the wall clock was stepped by more than half a second since the epoch began."""
        return abs(utc_ns - self.received_ns(monotonic_ns)) > CLOCK_STEP_NS


class LastEpochs(Protocol):
    """Where the last epoch of every camera is kept, durably."""

    async def load(self) -> Mapping[str, int]:
        """All that were stored."""
        ...

    async def save(self, last: Mapping[str, int]) -> None:
        """Returns when all of them are on disk."""
        ...


class EpochBook:
    """Mints epochs: max(UTC nanoseconds, last stored + 1), on disk before anybody sees the number.

    Cameras that connect at the same moment share one write.
    """

    def __init__(self, store: LastEpochs, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._last: dict[str, int] = {}
        self._is_dirty = False
        self._saved: asyncio.Future[None] | None = None
        self._saver: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Reads what earlier processes stored. Call once, before `mint`."""
        self._last.update(await self._store.load())

    async def mint(self, camera: str) -> Epoch:
        """A new epoch that begins now. Raises what the store raises; the number is then spent, never used twice."""
        utc_ns, monotonic_ns = self._clock.utc_ns(), self._clock.monotonic_ns()
        number = max(utc_ns, self._last.get(camera, -1) + 1)
        self._last[camera] = number
        self._is_dirty = True
        if self._saved is None:
            self._saved = asyncio.get_running_loop().create_future()
            # A save that nobody awaits any more (all callers cancelled) must not warn about its exception.
            self._saved.add_done_callback(lambda future: future.cancelled() or future.exception())
        saved = self._saved
        if self._saver is None or self._saver.done():
            self._saver = asyncio.create_task(self._save_all())
        await asyncio.shield(saved)
        return Epoch(camera, number, utc_ns, monotonic_ns)

    async def _save_all(self) -> None:
        while self._is_dirty and self._saved is not None:
            saved, self._saved, self._is_dirty = self._saved, None, False
            try:
                await self._store.save(dict(self._last))
            except Exception as error:
                saved.set_exception(error)
            else:
                saved.set_result(None)

    async def close(self) -> None:
        """Waits for a write under way."""
        if self._saver is not None:
            await self._saver
