"""What is to be deleted or moved, when and why: segments, rules, holds, growth and free space in, steps out. Pure.

What belongs here: the one planner that both the showing (`PlanRetention`) and the doing (`retention_keeper`) ask. What
does not: where rules are stored (`retention_rules`), holds (`holds`), files (`removed`, `tiers`).

The rules of the plan, in order:

* What is held is in no step that deletes. It counts for the bounds all the same.
* Of one camera the oldest segment that is not held goes first, and only whole segments go.
* Age: a segment goes when its last frame is `max_age_s` old. Size: the oldest goes while a camera has more than
  `max_bytes`, on both tiers together.
* Space: while the first disk has less than its floor, the oldest segment of all cameras is moved to the second tier, or
  deleted where there is none or it is full.
* A segment is moved when its last frame is `move_after_s` old, one that was brought back when its time there is over;
  a second tier that is full gives up its oldest first.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

SECOND_NS = 1_000_000_000
DELETE, MOVE, HELD = "delete", "move", "held"
AGE, SIZE, SPACE = "age", "size", "space"
_HELD_BY_SIZE = "held by size"


@dataclass(frozen=True, slots=True)
class Rule:
    """How long footage of a camera is kept; 0 for no bound."""

    max_age_s: int = 0
    max_bytes: int = 0
    move_after_s: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """A closed segment. Times in UTC nanoseconds, of its first and last frame."""

    camera: str
    name: str
    epoch: int
    first_seq: int
    from_ns: int
    to_ns: int
    size_bytes: int
    last_seq: int = -1
    frames: int = 0
    is_moved: bool = False
    """It lies in the second tier."""
    stays_until_ns: int = 0
    """It was brought back from there, and is not moved before this for its age."""


@dataclass(frozen=True, slots=True)
class CameraStock:
    """What one camera has."""

    camera: str
    rule: Rule
    segments: Sequence[Stored]
    """Closed ones in recorded order; may make them when they are asked for."""
    size_bytes: int
    """Of all segments, the one that is being written included."""
    growth: float = 0.0
    """Bytes recorded a second."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A place for footage."""

    free_bytes: int
    floor_bytes: int
    """Below this free space the oldest footage on it has to go."""


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one segment."""

    action: str
    """DELETE, MOVE or HELD: it would be deleted, and stays."""
    segment: Stored
    due_ns: int
    reason: str
    """AGE, SIZE, SPACE; of what is held, the id of the hold."""


HoldOf = Callable[[Stored], str | None]
"""The id of a hold that the segment must be kept for."""


def plan(
    now_ns: int,
    until_ns: int,
    stocks: Sequence[CameraStock],
    primary: Disk | None,
    second: Disk | None,
    hold_of: HoldOf,
    *,
    with_held: bool = True,
) -> Iterator[Step]:
    """The steps due from now (or before) to `until_ns`, soonest first, as if every step were done when it is due.

    `primary`: None if its free space is not known: then nothing goes for space. `second`: None without a second tier.
    What depends on growth is estimated. Lazily: whoever stops early pays for no more.
    """
    return _Course(now_ns, until_ns, stocks, primary, second, hold_of, with_held).steps()


class _Lane:
    """One camera on its way through the plan."""

    def __init__(self, stock: CameraStock, hold_of: HoldOf) -> None:
        self.stock = stock
        self.kept_bytes = stock.size_bytes
        self.version = 0
        self._hold_of = hold_of
        self._holds: dict[int, str | None] = {}
        self._gone: set[int] = set()
        self._moved: set[int] = set()
        self._free = 0
        self._near = 0
        self._told = 0
        self.told_bytes = 0
        """Of held segments that would have gone."""

    def segment(self, number: int) -> Stored:
        return self.stock.segments[number]

    def hold(self, number: int) -> str | None:
        """The hold that keeps a segment."""
        if number not in self._holds:
            self._holds[number] = self._hold_of(self.segment(number))
        return self._holds[number]

    def is_moved(self, number: int) -> bool:
        return number in self._moved or self.segment(number).is_moved

    def oldest_free(self) -> int | None:
        """The oldest segment that is there and not held."""
        while self._free < len(self.stock.segments):
            if self._free not in self._gone and self.hold(self._free) is None:
                return self._free
            self._free += 1
        return None

    def oldest_near(self, until_ns: int | None = None) -> int | None:
        """The oldest segment in the first tier, held or not. `until_ns`: of those that need not stay until then."""
        while self._near < len(self.stock.segments):
            if self._near not in self._gone and not self.is_moved(self._near):
                break
            self._near += 1
        if until_ns is None:
            return self._near if self._near < len(self.stock.segments) else None
        for number in range(self._near, len(self.stock.segments)):
            is_near = number not in self._gone and not self.is_moved(number)
            if is_near and self.segment(number).stays_until_ns <= until_ns:
                return number
        return None

    def oldest_free_on(self, *, second: bool) -> int | None:
        """The oldest segment of a tier that is not held."""
        start = self.oldest_free()
        for number in range(len(self.stock.segments) if start is None else start, len(self.stock.segments)):
            if number not in self._gone and self.is_moved(number) == second and self.hold(number) is None:
                return number
        return None

    def delete(self, number: int) -> None:
        self._gone.add(number)
        self.kept_bytes -= self.segment(number).size_bytes

    def move(self, number: int) -> None:
        self._moved.add(number)

    def next_held(self, before: int | None, until_ns: int) -> int | None:
        """The oldest held segment not told yet that stands before one, or, with None, ends at or before a moment."""
        number, stop = self._told, len(self.stock.segments) if before is None else before
        while number < stop:
            if before is None and self.segment(number).to_ns > until_ns:
                return None
            if number not in self._gone and self.hold(number) is not None:
                return number
            number += 1
            self._told = number
        return None

    def tell(self, number: int) -> None:
        self._told = number + 1
        self.told_bytes += self.segment(number).size_bytes


class _Course:
    """Plays a plan through."""

    def __init__(
        self,
        now_ns: int,
        until_ns: int,
        stocks: Sequence[CameraStock],
        primary: Disk | None,
        second: Disk | None,
        hold_of: HoldOf,
        with_held: bool,
    ) -> None:
        self._now_ns = now_ns
        self._until_ns = until_ns
        self._lanes = [_Lane(stock, hold_of) for stock in stocks]
        self._with_held = with_held
        self._growth = sum(stock.growth for stock in stocks) / SECOND_NS
        self._spare = None if primary is None else primary.free_bytes - primary.floor_bytes
        self._room = None if second is None else second.free_bytes - second.floor_bytes
        self._heap: list[tuple[int, int, int, str]] = []

    def steps(self) -> Iterator[Step]:
        """All of it."""
        for place in range(len(self._lanes)):
            self._enter(place)
        while True:
            while self._heap and self._heap[0][2] != self._lanes[self._heap[0][1]].version:
                heapq.heappop(self._heap)
            due_ns, place, _, what = self._heap[0] if self._heap else (self._until_ns + 1, 0, 0, "")
            space_ns = self._short_ns()
            if min(due_ns, space_ns) > self._until_ns:
                return
            if space_ns < due_ns:
                yield from self._make_space(space_ns)
            elif what == MOVE:
                yield from self._move(place, due_ns, AGE)
            elif what == HELD:
                yield from self._tell_held(place, due_ns, None)
            elif what == _HELD_BY_SIZE:
                yield from self._tell_held(place, due_ns, len(self._lanes[place].stock.segments))
            else:
                number = self._lanes[place].oldest_free()
                assert number is not None
                yield from self._delete(place, number, due_ns, what)

    def _enter(self, place: int) -> None:
        """Enters what comes next of a camera: what was entered of it before does not count any more."""
        lane = self._lanes[place]
        lane.version += 1
        rule = lane.stock.rule
        found: list[tuple[int, str]] = []
        number = lane.oldest_free()
        if number is not None and rule.max_age_s:
            found.append((lane.segment(number).to_ns + rule.max_age_s * SECOND_NS, AGE))
        if number is not None and rule.max_bytes:
            found.append((self._outgrown_ns(lane), SIZE))
        if rule.move_after_s and self._room is not None and (near := lane.oldest_near(self._until_ns)) is not None:
            old = lane.segment(near)
            found.append((max(old.to_ns + rule.move_after_s * SECOND_NS, old.stays_until_ns), MOVE))
        if self._with_held and rule.max_age_s:
            age_ns = rule.max_age_s * SECOND_NS
            held = lane.next_held(None, self._until_ns - age_ns)
            if held is not None:
                found.append((lane.segment(held).to_ns + age_ns, HELD))
        is_held_alone = self._with_held and rule.max_bytes > 0 and number is None
        if is_held_alone and lane.next_held(len(lane.stock.segments), 0) is not None:
            found.append((self._outgrown_ns(lane, lane.told_bytes), _HELD_BY_SIZE))
        for due_ns, what in found:
            if due_ns <= self._until_ns:
                heapq.heappush(self._heap, (max(due_ns, self._now_ns), place, lane.version, what))

    def _outgrown_ns(self, lane: _Lane, without: int = 0) -> int:
        """When a camera has more than it may, some bytes not counted."""
        spare = lane.stock.rule.max_bytes - lane.kept_bytes + without
        return self._used_up_ns(spare, lane.stock.growth / SECOND_NS)

    def _short_ns(self) -> int:
        """When the first disk has less than its floor."""
        return self._until_ns + 1 if self._spare is None else self._used_up_ns(self._spare, self._growth)

    def _used_up_ns(self, spare: int, growth: float) -> int:
        """When so many bytes are exceeded at some growth a nanosecond; behind the end of the plan if not in it."""
        if spare < 0:
            return self._now_ns
        if growth * (self._until_ns - self._now_ns) < spare + 1:
            return self._until_ns + 1
        return self._now_ns + math.ceil((spare + 1) / growth)

    def _make_space(self, due_ns: int) -> Iterator[Step]:
        """One step, or the end of making space: nothing is left that may go."""
        if self._room is not None:
            near = self._oldest([lane.oldest_near() for lane in self._lanes])
            if near is not None and self._has_room(self._lanes[near[0]].segment(near[1])):
                yield from self._move(near[0], due_ns, SPACE)
                return
            far = self._oldest([lane.oldest_free_on(second=True) for lane in self._lanes])
            if near is not None and far is not None:
                yield from self._delete(*far, due_ns, SPACE)
                return
        found = self._oldest([lane.oldest_free_on(second=False) for lane in self._lanes])
        if found is None:
            self._spare = None
            return
        yield from self._delete(*found, due_ns, SPACE)

    def _oldest(self, numbers: Sequence[int | None]) -> tuple[int, int] | None:
        """Of one segment of each camera the oldest."""
        found = [(place, number) for place, number in enumerate(numbers) if number is not None]
        return min(found, key=lambda one: self._lanes[one[0]].segment(one[1]).to_ns, default=None)

    def _has_room(self, segment: Stored) -> bool:
        return self._room is not None and self._room >= segment.size_bytes

    def _delete(self, place: int, number: int, due_ns: int, reason: str) -> Iterator[Step]:
        lane = self._lanes[place]
        while self._with_held and (held := lane.next_held(number, 0)) is not None:
            yield self._held(lane, held, due_ns)
        segment = lane.segment(number)
        if lane.is_moved(number):
            self._room = None if self._room is None else self._room + segment.size_bytes
        elif self._spare is not None:
            self._spare += segment.size_bytes
        lane.delete(number)
        self._enter(place)
        yield Step(DELETE, segment, due_ns, reason)

    def _move(self, place: int, due_ns: int, reason: str) -> Iterator[Step]:
        lane = self._lanes[place]
        number = lane.oldest_near(self._until_ns if reason == AGE else None)
        assert number is not None
        segment = lane.segment(number)
        if not self._has_room(segment):
            far = self._oldest([other.oldest_free_on(second=True) for other in self._lanes])
            if far is None:
                self._room = None  # a second tier that is full of held footage takes nothing any more
                self._enter(place)
                return
            yield from self._delete(*far, due_ns, SPACE)
            return
        assert self._room is not None
        self._room -= segment.size_bytes
        if self._spare is not None:
            self._spare += segment.size_bytes
        lane.move(number)
        self._enter(place)
        yield Step(MOVE, segment, due_ns, reason)

    def _tell_held(self, place: int, due_ns: int, before: int | None) -> Iterator[Step]:
        """Tells the next held segment: one that is too old, or with `before` one that stands before a number."""
        lane = self._lanes[place]
        held = lane.next_held(before, due_ns - lane.stock.rule.max_age_s * SECOND_NS)
        if held is not None:
            yield self._held(lane, held, due_ns)
        self._enter(place)

    @staticmethod
    def _held(lane: _Lane, number: int, due_ns: int) -> Step:
        lane.tell(number)
        return Step(HELD, lane.segment(number), due_ns, lane.hold(number) or "")
