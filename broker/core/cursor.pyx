"""The place of one subscriber in the ring of one camera: what it gets next, what it is told, what is counted.

What belongs here: where to begin, gaps of overrun, the identity captured = delivered + not delivered + pending, and
LOSSLESS delivery, which is all of that and nothing else. What does not: the other deliveries (`cursor_selective`,
`cursor_latest`, `cursor_keyframes`), batches and turns of cameras (`hub`), what a ring holds (`ring`). Not for use from
Python.
"""

from libc.stdint cimport int64_t

from broker.core.ring cimport KIND_FRAME, KIND_GAP, KIND_STARTED, Entry, Epoch, PacketRing, RingReader


cdef class NotDelivered:
    """Frames of one camera that a subscriber did not get for one reason.

    `count`: minted frames; `unknown_gaps`: gaps told whose number of frames nobody knows; `unminted`: frames that got
    no id, as far as gaps told their number. Only `count` is part of the identity.
    """

    def __repr__(self):
        return f"NotDelivered(count={self.count}, unknown_gaps={self.unknown_gaps}, unminted={self.unminted})"


cdef class Counters:
    """What a subscriber got of one camera since its first id: captured = delivered + sum(not_delivered) + pending.

    `not_delivered`: GapReason number → NotDelivered.
    """

    def __repr__(self):
        return (
            f"Counters(captured={self.captured}, delivered={self.delivered}, pending={self.pending}, "
            f"not_delivered={self.not_delivered})"
        )


cdef class Cursor(RingReader):
    """The place of one subscriber in the ring of one camera. By itself it is LOSSLESS: every item, against the ring."""

    # ---- called by the ring

    cdef int appended(self, list to_wake) except -1:
        if not self.queued:
            self.enqueue(to_wake)
        return 0

    cdef int gap_evicted(self, int reason, int64_t count) except -1:
        if self.unread_gaps is None:
            self.unread_gaps = {}
        known = self.unread_gaps.get(reason, 0)
        self.unread_gaps[reason] = -1 if known < 0 or count < 0 else known + count
        return 0

    # ---- called by the subscriber

    cdef int enqueue(self, list to_wake) except -1:
        """Takes its place in its subscriber's queue; whoever is first there wakes the subscriber."""
        self.queued = True
        if len(self.queue) == 0:
            to_wake.append(self.wake)
        self.queue.append(self)
        return 0

    cdef bint has_more(self) noexcept:
        return self.told is not None or self.next_index < self.ring.end

    cdef int prepare(self) except -1:
        """Makes sure that what comes next is in `told`, or is the entry at `next_index`."""
        if self.next_index < self.ring.first:
            self.settle()
        return self.announce()

    cdef bytes hand_out(self):
        """The next item; `prepare` was called and there is one."""
        return self.pass_on()

    cdef int64_t pending_bytes(self) except -1:
        """Bytes of the items that wait for it in the ring."""
        cdef PacketRing ring = self.ring
        cdef int64_t index = max(self.next_index, ring.first)
        return ring.taken_bytes - ring.at(index).bytes_before if index < ring.end else 0

    cdef Counters counters(self):
        cdef Counters result = Counters.__new__(Counters)
        cdef NotDelivered missed
        cdef int reason
        self.settle()
        result.captured = self.ring.frames - self.first_ordinal
        result.delivered = self.delivered
        result.pending = self.ring.frames - self.next_ordinal
        result.not_delivered = {}
        for reason in range(REASONS):
            if self.left_out[reason] or self.unknown_gaps[reason] or self.unminted[reason]:
                missed = NotDelivered.__new__(NotDelivered)
                missed.count = self.left_out[reason]
                missed.unknown_gaps = self.unknown_gaps[reason]
                missed.unminted = self.unminted[reason]
                result.not_delivered[reason] = missed
        return result

    cdef int leave(self) except -1:
        """It is not read any more."""
        self.told = None
        return 0

    # ---- inside

    cdef int settle(self) except -1:
        """Notices that the ring has overtaken this reader: tells the gap and goes on from the oldest join point."""
        cdef int64_t target, index, skipped
        cdef Entry* entry
        if self.next_index >= self.ring.first:
            return 0
        target = self.ring.oldest_join()
        for index in range(self.ring.first, target):
            entry = self.ring.at(index)
            if entry.kind == KIND_GAP:
                self.gap_evicted(entry.reason, entry.count)
        skipped = self.ring.at(target).frames_before - self.next_ordinal
        self.next_index = target
        self.next_ordinal = self.ring.at(target).frames_before
        entry = self.ring.at(target)
        before = (entry.epoch, entry.seq) if entry.kind == KIND_FRAME else None
        if skipped > 0:
            self.left_out[OVERRUN] += skipped
            self.tell(OVERRUN, skipped, before)
        self.tell_unread(before)
        return 0

    cdef int announce(self) except -1:
        """A frame of an epoch that this reader was not told of is preceded by the epoch's begin."""
        cdef Entry* entry
        cdef Epoch epoch
        if self.told is None and self.next_index < self.ring.end:
            entry = self.ring.at(self.next_index)
            if entry.kind == KIND_FRAME and entry.epoch != self.announced_epoch:
                self.announced_epoch = entry.epoch
                epoch = self.ring.epoch(entry.epoch)
                if epoch is not None and epoch.started is not None:
                    self.told = [epoch.started]
        return 0

    cdef bytes pass_on(self):
        """What was to be told, else the entry at `next_index`."""
        cdef Entry* entry
        cdef bytes item
        if self.told is not None:
            item = <bytes> self.told.pop(0)
            if not self.told:
                self.told = None
            return item
        entry = self.ring.at(self.next_index)
        self.next_index += 1
        if entry.kind == KIND_FRAME:
            self.next_ordinal += 1
            self.delivered += 1
            self.has_last = True
            self.last_epoch = entry.epoch
            self.last_seq = entry.seq
        elif entry.kind == KIND_GAP:
            self.count_gap(entry.reason, entry.count)
        elif entry.kind == KIND_STARTED:
            self.announced_epoch = entry.epoch
        return <bytes> <object> entry.item

    cdef int tell_unread(self, before) except -1:
        """Gaps that passed unread are told, one for each reason."""
        if self.unread_gaps is not None:
            gaps = self.unread_gaps
            self.unread_gaps = None
            for reason, count in gaps.items():
                self.count_gap(reason, count)
                self.tell(reason, count, before)
        return 0

    cdef int count_gap(self, int reason, int64_t count) except -1:
        """A gap of frames that were never minted, or of an unknown number, is handed out."""
        cdef int counted = reason if 0 <= reason < REASONS else 0
        if count < 0:
            self.unknown_gaps[counted] += 1
        else:
            self.unminted[counted] += count
        return 0

    cdef int tell(self, int reason, int64_t count, before) except -1:
        """Puts a Gap before whatever comes next. `count` -1: unknown. `before`: (epoch, seq) or None."""
        from broker.core.encode import encode_item
        from trueframe.v1 import frames_pb2

        gap = frames_pb2.Gap(camera=self.ring.camera, reason=reason, noticed_ns=self.ring.newest_ns)
        if self.has_last:
            gap.after.camera = self.ring.camera
            gap.after.epoch = self.last_epoch
            gap.after.seq = self.last_seq
        if before is not None:
            gap.before.camera = self.ring.camera
            gap.before.epoch, gap.before.seq = before
        if count >= 0:
            gap.count = count
        if self.told is None:
            self.told = []
        self.told.append(encode_item(gap))
        return 0

    # ---- where to begin

    cdef int begin(self, start) except -1:
        cdef PacketRing ring = self.ring
        self.announced_epoch = -1
        if start is None:
            self.place(self.live_index())
        elif isinstance(start, int):
            self.place(self.index_at_time(start))
        else:
            if isinstance(start, tuple):
                epoch, seq = start
            else:
                if start.camera != ring.camera:
                    raise ValueError(f"a start of {start.camera!r} for {ring.camera!r}")
                epoch, seq = start.epoch, start.seq
            self.has_last = True
            self.last_epoch = epoch
            self.last_seq = seq
            return self.begin_behind(epoch, seq)
        self.first_ordinal = self.next_ordinal
        return 0

    cdef int place(self, int64_t index) except -1:
        self.next_index = index
        self.next_ordinal = self.ring.at(index).frames_before if index < self.ring.end else self.ring.frames
        return 0

    cdef int64_t live_index(self) except -1:
        """Newest join point of the running epoch; without one its oldest item; behind everything if none runs."""
        cdef PacketRing ring = self.ring
        cdef int64_t index, oldest = ring.end
        cdef Epoch newest
        if not ring.epochs:
            return ring.end
        newest = <Epoch> ring.epochs[len(ring.epochs) - 1]
        if newest.ended:
            return ring.end
        for index in range(ring.end - 1, ring.first - 1, -1):
            if ring.at(index).epoch != newest.number:
                break
            if ring.at(index).joins:
                return index
            oldest = index
        return oldest

    cdef int64_t index_at_time(self, int64_t received_ns) except -1:
        """Newest join point received at or before that time, else the oldest held."""
        cdef PacketRing ring = self.ring
        cdef int64_t index
        for index in range(ring.end - 1, ring.first - 1, -1):
            if ring.at(index).joins and ring.at(index).received_ns <= received_ns:
                return index
        return ring.oldest_join()

    cdef int begin_behind(self, int64_t number, int64_t seq) except -1:
        """Behind an id: without a seam if the ring knows it, else with a gap that says what lies between."""
        cdef PacketRing ring = self.ring
        cdef Epoch epoch = ring.epoch(number)
        cdef int64_t ordinal, index
        if epoch is not None and 0 <= seq < epoch.frames:
            ordinal = epoch.first_ordinal + seq + 1
            index = ring.behind(ordinal)
            self.first_ordinal = ordinal
            self.next_ordinal = ordinal
            self.next_index = index
            if index == ring.first and ring.evicted_gap_ordinal >= ordinal:
                self.gap_evicted(ring.evicted_gap_reason, -1)
            if index < ring.end and ring.at(index).frames_before > ordinal:
                # Evicted: `settle` counts and tells it.
                self.next_index = ring.first - 1
                self.settle()
            elif self.unread_gaps is not None:
                self.tell_unread(None)
            return 0
        # An id of another broker, or of an epoch too long ago: what lies between is unknown, and so is its number.
        if not ring.epochs or number > (<Epoch> ring.epochs[len(ring.epochs) - 1]).number:
            index = ring.end
        elif epoch is not None:
            index = ring.behind(epoch.first_ordinal + epoch.frames)
        else:
            index = ring.first
            while index < ring.end and ring.at(index).epoch <= number:
                index += 1
            if index == ring.first and ring.evicted_items:
                index = ring.oldest_join()
        self.place(index)
        self.first_ordinal = self.next_ordinal
        before = None
        if index < ring.end and ring.at(index).kind == KIND_FRAME:
            before = (ring.at(index).epoch, ring.at(index).seq)
        reason = OVERRUN if ring.epochs_forgotten else BROKER_LOST
        self.count_gap(reason, -1)
        self.tell(reason, -1, before)
        return 0
