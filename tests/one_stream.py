"""For what stands for the bus in unit tests: a stream, which can be lost and made again."""

from __future__ import annotations


class OneStream:
    """The part of `mesh.outbox.EventBus` that says when its stream was made."""

    made_ns = 1
    """Set to another value, the stream was lost."""

    def incarnation_ns(self) -> int:
        return self.made_ns

    async def look_at_incarnation(self) -> int:
        return self.made_ns
