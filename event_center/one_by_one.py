"""Many changes, one after the other, of which one that fails does not keep the others from being made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from mesh.errors import Unavailable


async def each(ids: Iterable[str], change: Callable[[str], Awaitable[object]]) -> list[Exception]:
    """What failed, in order. Raises Unavailable at once: a store that is away is so for all of them."""
    failed: list[Exception] = []
    for event_id in ids:
        try:
            await change(event_id)
        except Unavailable:
            raise
        except Exception as error:
            failed.append(error)
    return failed
