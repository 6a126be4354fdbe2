"""What waits for one channel: a bounded queue with its order, its drop policy, and the pauses between attempts. Pure.

* The delivery with the fewest attempts goes first, then the oldest: what a server does not like holds up nobody.
* While a channel does not work, of an alarm only the newest message waits: older ones are superseded.
* Of more than the bound the oldest of the least priority is dropped. Both are counted by who keeps the queue.
"""

from __future__ import annotations

from dataclasses import dataclass

from event_center.notifications.delivery import Delivery, Progress

_LEAST = 5
"""Priority of what has none: a digest, a test."""
_FIRST_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Shed:
    """A delivery that gives way, and how."""

    delivery: Delivery
    progress: Progress


class Queue:
    """Deliveries that wait, by id."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._waiting: dict[str, Delivery] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, delivery_id: str) -> bool:
        return delivery_id in self._waiting

    def add(self, delivery: Delivery, *, is_failing: bool) -> list[Shed]:
        """Lets it wait; returns what gives way, which may be the new one itself."""
        shed: list[Shed] = []
        if is_failing and delivery.content.event:
            older = [
                one for one in self._waiting.values()
                if one.content.event == delivery.content.event and one.content.version <= delivery.content.version
            ]  # fmt: skip
            shed += [Shed(one, Progress.SUPERSEDED) for one in older]
        self._waiting[delivery.id] = delivery
        for one in shed:
            self._waiting.pop(one.delivery.id, None)
        while len(self._waiting) > self._bound:
            least = max(self._waiting.values(), key=lambda one: (one.content.priority or _LEAST, -one.made_ns))
            del self._waiting[least.id]
            shed.append(Shed(least, Progress.DROPPED))
        return shed

    def next(self) -> Delivery | None:
        """What is to be tried next; it stays until it is taken out."""
        return min(self._waiting.values(), key=lambda one: (one.attempts, one.made_ns, one.id), default=None)

    def note(self, delivery: Delivery) -> None:
        """It is so now. One that gave way meanwhile does not come back."""
        if delivery.id in self._waiting:
            self._waiting[delivery.id] = delivery

    def remove(self, delivery_id: str) -> None:
        """It waits no more."""
        self._waiting.pop(delivery_id, None)


def pause_s(failures: int, longest_s: float, chance: float) -> float:
    """How long to wait after so many failures in a row, in seconds. `chance`: 0 to 1, so that not all come at once."""
    whole = min(_FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16), longest_s)
    return whole * (0.5 + 0.5 * chance)
