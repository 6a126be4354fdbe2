"""Waiting for conditions. Nothing here knows a service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], timeout_s: float = 30.0, what: str = "") -> T:
    """Polls until the condition is truthy and returns its value; fails with `what` after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or condition}; last value: {value!r}")
        time.sleep(0.02)


async def auntil(condition: Callable[[], T | Awaitable[T]], timeout_s: float = 30.0, what: str = "") -> T:
    """Like `until`, inside an event loop; the condition may be a coroutine function."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or condition}; last value: {value!r}")
        await asyncio.sleep(0.02)
