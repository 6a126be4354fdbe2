from __future__ import annotations

import asyncio

import pytest

from mesh import cancellation


async def test_a_reader_that_loses_a_cancellation_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation, "_CANCEL_AGAIN_S", 0.01)
    lost = 0
    begun = asyncio.Event()

    async def reader() -> None:
        nonlocal lost
        while True:
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost == 2:
                    raise

    task = asyncio.create_task(reader())
    await begun.wait()
    await asyncio.wait_for(cancellation.ended(task), 5)
    assert task.cancelled()
