"""Tasks beside a server: one that fails ends it all, and none is left behind."""

from __future__ import annotations

import asyncio

import pytest

from mesh.cancellation import until_one_fails


async def for_ever() -> None:
    await asyncio.Event().wait()


async def once() -> None:
    return


async def fails() -> None:
    await asyncio.sleep(0)
    raise KeyError("nobody thought of it")


async def test_a_task_that_fails_ends_what_serves_and_one_that_is_done_does_not() -> None:
    beside = [asyncio.create_task(one()) for one in (once, for_ever, fails)]
    with pytest.raises(KeyError, match="nobody thought of it"):
        await asyncio.wait_for(until_one_fails(for_ever(), beside), 10)
    assert all(task.done() for task in beside)


async def test_what_serves_ends_the_tasks_beside_it() -> None:
    beside = [asyncio.create_task(for_ever())]
    await asyncio.wait_for(until_one_fails(once(), beside), 10)
    assert beside[0].cancelled()


async def test_a_cancellation_ends_them_all() -> None:
    beside = [asyncio.create_task(for_ever())]
    serving = asyncio.create_task(until_one_fails(for_ever(), beside))
    await asyncio.sleep(0)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert beside[0].cancelled()
