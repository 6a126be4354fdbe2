"""Talks with servers that do not answer: whom they hold up, and whom not."""

from __future__ import annotations

import asyncio
import threading

from event_center.notifications.line import Line, talk


async def test_many_servers_that_do_not_answer_hold_up_nothing_else() -> None:
    go_on = threading.Event()
    try:
        talks = [asyncio.create_task(talk(Line(), go_on.wait, 60.0, "nobody")) for _ in range(40)]
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(lambda: "done") == "done"
    finally:
        go_on.set()
    assert await asyncio.gather(*talks) == [True] * 40
