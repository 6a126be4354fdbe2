"""What LATEST and KEYFRAMES readers must be given, in plain Python: lists, no prefix sums, nothing remembered twice.

Everything that ever came is kept, so every count is taken by counting. Words are those of `fanout.told`. What does not
belong here: the compiled hub.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from trueframe.v1.frames_pb2 import GapReason

BROKER_LOST = GapReason.GAP_REASON_BROKER_LOST
NOT_REQUESTED = GapReason.GAP_REASON_NOT_REQUESTED
RATE_CAPPED = GapReason.GAP_REASON_RATE_CAPPED
SUPERSEDED = GapReason.GAP_REASON_SUPERSEDED
OVERRUN = GapReason.GAP_REASON_OVERRUN
BEHIND_NS = 250_000_000
TELL_WITHIN_NS = 10_000_000_000


@dataclass(frozen=True)
class Thing:
    """An item that came."""

    kind: Literal["frame", "gap", "start", "end"]
    epoch: int
    at_ns: int
    size: int = 0
    seq: int = -1
    joins: bool = False
    exact: bool = False
    reason: int = 0
    count: int | None = None


@dataclass
class History:
    """One camera: all that ever came, and from where on the ring still holds it."""

    things: list[Thing] = field(default_factory=list)
    held_from: int = 0
    readers: list[Reader] = field(default_factory=list)

    @property
    def held(self) -> list[Thing]:
        return self.things[self.held_from :]

    @property
    def now_ns(self) -> int:
        return max((thing.at_ns for thing in self.things), default=0)

    @property
    def is_running(self) -> bool:
        """Whether an epoch has begun and not ended."""
        return [thing.kind for thing in self.things if thing.kind in ("start", "end")][-1:] == ["start"]

    def newest(self, what: str) -> int:
        """Index of the newest thing that `joins` or is `exact`; -1 if none ever came."""
        return max((i for i, thing in enumerate(self.things) if getattr(thing, what)), default=-1)

    def frames(self, begin: int, end: int) -> list[Thing]:
        return [thing for thing in self.things[begin:end] if thing.kind == "frame"]

    def evict(self, count: int) -> None:
        for _ in range(count):
            thing = self.things[self.held_from]
            if thing.kind == "gap":
                for reader in self.readers:
                    if reader.next <= self.held_from:
                        reader.note_gap(thing)
            self.held_from += 1


@dataclass
class Reader:
    """One reader of one camera."""

    history: History
    delivery: Literal["latest", "keyframes"]
    max_items: int = 0
    interval_ns: int = 0
    next: int = 0
    run_from: int = 0
    unbegun: int = -1
    captured_from: int = 0  # index
    delivered: int = 0
    left_out: Counter[int] = field(default_factory=Counter)
    untold: Counter[int] = field(default_factory=Counter)
    untold_gaps: dict[int, int | None] = field(default_factory=dict)
    untold_since_ns: int | None = None
    told: list[str] = field(default_factory=list)
    announced: int = -1
    last: str = ""
    run: tuple[int, int] | None = None
    because: int = NOT_REQUESTED
    last_ns: int | None = None

    # ---- where to begin

    def begin_live(self) -> None:
        things = self.history.things
        self.next = len(things)
        if self.history.is_running:
            wanted = [i for i in range(self.history.held_from, len(things)) if things[i].epoch == things[-1].epoch]
            entrances = [i for i in wanted if self.is_entrance(things[i])]
            if entrances:
                self.next = entrances[-1]
            elif self.delivery == "latest" and wanted:
                self.next = wanted[0]
        self.captured_from = self.next
        self.run_from = len(things)
        self.pass_over()

    def begin_behind(self, index: int) -> None:
        """Behind the frame at `index`, which is held."""
        thing = self.history.things[index]
        self.next = self.captured_from = index + 1
        self.run, self.last = (thing.epoch, thing.seq), f"{thing.epoch}/{thing.seq}"
        if self.next < len(self.history.things) and self.is_behind():
            self.supersede()
        self.pass_over()

    def is_entrance(self, thing: Thing) -> bool:
        return thing.joins if self.delivery == "latest" else thing.exact

    # ---- something came

    def came(self) -> None:
        end = len(self.history.things)
        self.settle()
        if self.next < end - 1 and self.is_behind():
            self.supersede()
        self.pass_over()
        if self.untold_since_ns is not None and self.history.now_ns - self.untold_since_ns >= TELL_WITHIN_NS:
            self.tell("")

    def waiting(self) -> list[Thing]:
        things = self.history.things[max(self.next, self.run_from, self.history.held_from) :]
        return things if self.delivery == "latest" else [thing for thing in things if thing.exact]

    def is_behind(self) -> bool:
        begin = max(self.next, self.run_from, self.history.held_from)
        if begin >= len(self.history.things):
            return False
        if self.max_items and len(self.waiting()) > self.max_items:
            return True
        newest = self.newest_entrance()
        is_old = self.history.now_ns - self.history.things[begin].at_ns > BEHIND_NS
        return (is_old or self.unbegun == self.next) and newest > self.next and newest >= self.run_from

    def newest_entrance(self) -> int:
        return self.history.newest("joins" if self.delivery == "latest" else "exact")

    def supersede(self) -> None:
        newest = self.newest_entrance()
        if newest >= self.next:
            self.jump(newest)
        elif self.delivery == "latest":
            self.run, self.because = None, SUPERSEDED
            self.pass_over()
        self.run_from = len(self.history.things)

    def jump(self, to: int) -> None:
        for thing in self.history.things[self.next : to]:
            if thing.kind == "gap":
                self.note_gap(thing)
            elif thing.kind == "frame":
                wanted = self.delivery == "latest" or thing.exact
                self.leave_out(SUPERSEDED if wanted else NOT_REQUESTED)
        self.next = self.unbegun = to

    def settle(self) -> None:
        """The ring may have gone on without this reader."""
        held_from = self.history.held_from
        if self.next >= held_from:
            return
        lost = self.history.frames(self.next, held_from)
        for thing in lost:
            wanted = self.delivery == "latest" or thing.exact
            self.leave_out(OVERRUN if wanted else NOT_REQUESTED)
        self.next = held_from
        if lost:
            self.run, self.because = None, OVERRUN
            self.run_from = len(self.history.things)
            if self.newest_entrance() > self.next:
                self.jump(self.newest_entrance())
        self.pass_over()

    def pass_over(self) -> None:
        """What this delivery never hands out."""
        things = self.history.things
        while self.next < len(things):
            thing = things[self.next]
            if self.delivery == "keyframes" and thing.kind == "gap":
                self.note_gap(thing)
            elif thing.kind != "frame":
                return
            elif self.delivery == "latest":
                if thing.joins or self.run == (thing.epoch, thing.seq - 1):
                    return
                self.leave_out(self.because)
            elif not thing.exact:
                self.leave_out(NOT_REQUESTED)
            elif self.last_ns is not None and 0 <= thing.at_ns - self.last_ns < self.interval_ns:
                self.leave_out(RATE_CAPPED)
            else:
                return
            self.next += 1

    # ---- what is told

    def leave_out(self, reason: int) -> None:
        self.left_out[reason] += 1
        self.untold[reason] += 1
        if self.untold_since_ns is None:
            self.untold_since_ns = self.history.now_ns

    def note_gap(self, thing: Thing) -> None:
        known = self.untold_gaps.get(thing.reason, 0)
        self.untold_gaps[thing.reason] = None if known is None or thing.count is None else known + thing.count
        if self.untold_since_ns is None:
            self.untold_since_ns = self.history.now_ns

    def tell(self, before: str) -> None:
        gaps = [(reason, str(count)) for reason, count in sorted(self.untold.items()) if count]
        gaps += [(reason, "?" if count is None else str(count)) for reason, count in self.untold_gaps.items()]
        for reason, count in gaps:
            name = GapReason.Name(reason).removeprefix("GAP_REASON_")  # type: ignore[arg-type]
            self.told.append(f"gap {name} {count} {self.last}→{before}")
        self.untold.clear()
        self.untold_gaps.clear()
        self.untold_since_ns = None

    # ---- what is handed out

    def take(self) -> str:
        """The next word; empty if there is none."""
        self.settle()
        self.pass_over()
        things = self.history.things
        thing = things[self.next] if self.next < len(things) else None
        if not self.told and thing is not None and self.untold_since_ns is not None:
            self.tell(f"{thing.epoch}/{thing.seq}" if thing.kind == "frame" else "")
        if not self.told and thing is not None and thing.kind == "frame" and thing.epoch != self.announced:
            self.announced = thing.epoch
            self.told.append(f"start {thing.epoch}")
        if self.told:
            return self.told.pop(0)
        if thing is None:
            return ""
        self.next += 1
        if thing.kind == "frame":
            self.delivered += 1
            self.run, self.because, self.last_ns = (thing.epoch, thing.seq), NOT_REQUESTED, thing.at_ns
            word = self.last = f"{thing.epoch}/{thing.seq}"
        elif thing.kind == "gap":
            name = GapReason.Name(thing.reason).removeprefix("GAP_REASON_")  # type: ignore[arg-type]
            word = f"gap {name} {'?' if thing.count is None else thing.count} →"
        else:
            word = f"{thing.kind} {thing.epoch}"
            if thing.kind == "start":
                self.announced = thing.epoch
        self.pass_over()
        return word

    @property
    def captured(self) -> int:
        return len(self.history.frames(self.captured_from, len(self.history.things)))

    @property
    def pending(self) -> int:
        return len(self.history.frames(self.next, len(self.history.things)))
