"""RingStory: what the records of a camera's rings tell one reader, each frame once. No waiting, no sockets.

Here: where a reader begins, what it is told and what it missed, holding the picture that it is given. Not here: where
rings come from and when to look (reader.py), the memory layout (ring_layout.pyx).
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from broker.pixel.picture import Missing, MissingReason, Picture
from broker.pixel.ring_layout import BT709, FULL_RANGE, INEXACT, OPEN, PICTURE
from broker.pixel.ring_mapping import RingMapping
from broker.pixel.settled import Settled
from mesh.ids import FrameId

_REORDER_DEPTH = 64  # H.264 and H.265 hold back at most 16 pictures


class RingStory:
    """One reader's view of one camera's rings, one after the other. `ready` holds what is to be handed out."""

    def __init__(self, camera: str, after: FrameId | None) -> None:
        self.ready: deque[Picture | Missing] = deque()
        self.mapping: RingMapping | None = None
        """The ring that is read at present."""
        self.next = 0
        """Number of the first record that was not looked at."""
        self.session: int | None = None
        """The run of the pixel host that the newest ring is of."""
        self._camera = camera
        # The hold on the picture told last, from its telling to the read after the one that hands it out.
        self._held: tuple[RingMapping, int, int] | None = None
        self._planes: list[tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]] = []
        # Why frames are missing that no record told of; None: they were shown before this reader came, to others.
        self._lost_reason: MissingReason | None = None
        self._is_new = after is None
        self._before_us = 0  # records below this were written before this reader came
        self._epoch = after.epoch if after else None
        self._settled = Settled(after.seq if after else -1)

    def close_ring(self) -> None:
        """Reads this ring no more; pictures that were handed out stay mapped."""
        self.mapping, self._planes = None, []

    def forget(self) -> None:
        """Lets go of everything."""
        self.close_ring()
        self._held = None
        self.ready.clear()

    def let_go(self) -> None:
        """The picture handed out last is held no more."""
        if self._held is not None:
            mapping, slot, sequence = self._held
            mapping.unpin(slot, sequence)
            self._held = None

    def open(self, mapping: RingMapping) -> None:
        """Goes on with the next ring."""
        self.mapping = mapping
        self._planes = [mapping.planes(slot) for slot in range(mapping.slots)]
        head = mapping.head
        oldest = max(0, head - mapping.records)
        self._before_us = 0
        same_session = mapping.session == self.session
        if not self._is_new:
            self._lost_reason = MissingReason.OVERRUN if same_session else MissingReason.HOST_LOST
        self.session = mapping.session
        self.next = oldest
        if self._is_new and head:
            self._begin_at_the_newest(mapping, oldest, head)
            self._before_us = head
        self._is_new = False

    def _begin_at_the_newest(self, mapping: RingMapping, oldest: int, head: int) -> None:
        """A reader without a past starts at the newest picture; frames told before it are not its business."""
        start = head
        for number in range(head - 1, max(oldest, head - 1 - _REORDER_DEPTH) - 1, -1):
            record = mapping.record(number)
            if record is not None and record[0] == PICTURE:
                start = number
                break
        self.next = start
        before = [mapping.record(number) for number in range(max(oldest, start - _REORDER_DEPTH), start)]
        following = mapping.record(start) if start < head else None
        known = [record for record in (*before, following) if record is not None]
        if not known:
            return
        self._epoch = known[-1][4]
        told = [record for record in before if record is not None and record[4] == self._epoch]
        floor = told[-1][9] if told else min(known[-1][5] - 1, known[-1][9])
        self._settled = Settled(floor)
        for record in told:
            self._settled.add(record[5], record[6])

    def advance(self) -> bool:
        """Takes records until one gives a picture; False when the ring has nothing more for now."""
        mapping = self.mapping
        if mapping is None:
            return False
        state = mapping.state  # before head: what is written before the state changes is seen
        head = mapping.head
        if self.next >= head:
            if state != OPEN:
                self.close_ring()
            return False
        while self.next < head:
            record = mapping.record(self.next)
            if record is None:
                # Far behind. Leave some room, or the writer overtakes again before the next look.
                self.next = max(self.next + 1, mapping.head - mapping.records * 3 // 4)
                self._lost_reason = self._lost_reason or MissingReason.OVERRUN
                continue
            self.next += 1
            if self._tell(mapping, record):
                break
        return True

    def _tell(self, mapping: RingMapping, record: tuple[int, ...]) -> bool:
        kind, reason, flags, slot, epoch, first, last, received_ns, sequence, floor = record
        if self._epoch is None:
            self._epoch, self._settled = epoch, Settled(min(first - 1, floor))
        elif epoch > self._epoch:
            self._epoch, self._settled = epoch, Settled()
            self._lost_reason = self._lost_reason or MissingReason.OVERRUN
        elif epoch < self._epoch:
            return False
        if kind == PICTURE and self._settled.expects(first, floor):
            fresh = [(first, last)]  # the usual case, told without the arithmetic of runs
        else:
            holes = self._settled.absent(self._settled.floor + 1, min(floor, first - 1))
            holes += self._settled.absent(last + 1, floor)
            for hole in holes:
                if self._lost_reason is None:
                    self._settled.add(*hole)
                else:
                    self._miss(epoch, *hole, self._lost_reason, 0)
            fresh = self._settled.absent(first, last)
        if self._lost_reason is not None:
            self._lost_reason = MissingReason.OVERRUN
        if not fresh:
            return False
        if kind == PICTURE:
            if mapping.pin(slot, sequence):
                self._held = mapping, slot, sequence
            elif not mapping.is_whole(slot, sequence):
                if self.next <= self._before_us:
                    self._settled.add(first, last)  # the newest at first sight, and older by now: not this reader's
                else:
                    self._miss(epoch, first, last, MissingReason.OVERRUN, received_ns)
                return False
            self._settled.add(first, last)
            y, u, v = self._planes[slot]
            monotonic_ns = mapping.monotonic_ns(slot)
            self.ready.append(
                Picture(
                    FrameId(self._camera, epoch, first), received_ns, monotonic_ns, mapping.width, mapping.height,
                    y, u, v, bool(flags & INEXACT), bool(flags & FULL_RANGE), bool(flags & BT709),
                    mapping, slot, sequence,
                )
            )  # fmt: skip
            return True
        for run in fresh:
            self._miss(epoch, *run, MissingReason(reason), received_ns)
        return False

    def _miss(self, epoch: int, first: int, last: int, reason: MissingReason, received_ns: int) -> None:
        self._settled.add(first, last)
        before = self.ready[-1] if self.ready else None
        if (
            isinstance(before, Missing)
            and before.reason == reason
            and before.last_id.epoch == epoch
            and before.last_id.seq == first - 1
        ):
            first_id, received_ns = before.first_id, before.received_ns
            self.ready.pop()
        else:
            first_id = FrameId(self._camera, epoch, first)
        self.ready.append(Missing(first_id, FrameId(self._camera, epoch, last), reason, received_ns))
