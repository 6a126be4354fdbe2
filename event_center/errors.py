"""Errors of the event center. All map to a gRPC status through `mesh.errors`.

NotFound
└── UnknownEvent
ResourceExhausted
└── WatcherTooSlow      the stream ends; open another one with `since_ns`
"""

from __future__ import annotations

from mesh.errors import NotFound, ResourceExhausted


class UnknownEvent(NotFound):
    """There is no event of this id."""

    def __init__(self, event_id: str) -> None:
        super().__init__(f"event {event_id[:80]!r}", "does not exist", "`trueframe events list` shows those that do.")

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.thing,)


class WatcherTooSlow(ResourceExhausted):
    """More events changed than a watcher that does not read may leave waiting."""

    def __init__(self, waiting: int) -> None:
        super().__init__("watch", f"{waiting} changed events wait to be read", "Open it again with since_ns.")
        self.waiting = waiting

    def __reduce__(self) -> tuple[type, tuple[int]]:
        return type(self), (self.waiting,)
