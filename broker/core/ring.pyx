"""The packet ring of one camera: encoded items in order, over epochs, bounded in bytes, age and number.

What belongs here: what is held, what goes, and where a reader may begin. What does not: who reads and what is told them
(`hub`). An item is one bytes object however many read it; a frame costs no other Python object.
"""

from cpython.exc cimport PyErr_WriteUnraisable
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport int64_t


cdef enum:
    INITIAL_ITEMS = 64
    # Epochs whose numbering is remembered after their last item went: a camera that flaps must not cost memory.
    REMEMBERED_EPOCHS = 256

cdef int64_t _live_items = 0


def live_items():
    """Items that all rings of this process hold: a debug counter for leaks."""
    return _live_items


cdef int call_all(list to_wake) except -1:
    """Wakes subscribers; one whose call fails must not keep the news from the others, nor the camera from going on."""
    for wake in to_wake:
        try:
            wake()
        except Exception:
            PyErr_WriteUnraisable(wake)
    return 0


cdef class Epoch:
    """What a ring knows of one epoch: `number`, `first_ordinal`, `frames` so far, `ended`, its `started` item."""


cdef class RingReader:
    """Something with a position in a ring, which the ring tells of what comes and of gaps that go unread."""

    cdef int appended(self, list to_wake) except -1:
        return 0

    cdef int gap_evicted(self, int reason, int64_t count) except -1:
        return 0


cdef class Account:
    """Bytes that all rings of a hub hold."""


cdef class PacketRing:
    """Holds the newest items of one camera: at most `max_bytes`, `max_ns` old against the newest, `max_items` many.

    The oldest whole items go first; the newest item always stays. Frames come through `append_frame`, everything else
    through `append_item`. For one thread only, with the GIL held.
    """

    def __cinit__(
        self,
        str camera not None,
        Py_ssize_t max_bytes=32 << 20,
        int64_t max_ns=30_000_000_000,
        Py_ssize_t max_items=1 << 17,
    ):
        if max_bytes < 1 or max_ns < 1 or max_items < 1:
            raise ValueError("the bounds of a ring are positive")
        self.camera = camera
        self.max_bytes = max_bytes
        self.max_ns = max_ns
        self.max_items = max_items
        self.epochs = []
        self.readers = []
        self.evicted_gap_ordinal = -1
        self.newest_join = -1
        self.newest_exact = -1

    def __dealloc__(self):
        global _live_items
        cdef int64_t index
        if self.entries != NULL:
            for index in range(self.first, self.end):
                Py_DECREF(<object> self.at(index).item)
                _live_items -= 1
            PyMem_RawFree(self.entries)

    def __len__(self):
        return self.end - self.first

    @property
    def last_id(self):
        """(epoch, seq) of the newest frame, or None before the first; it need not be held any more."""
        for epoch in reversed(self.epochs):
            if (<Epoch> epoch).frames:
                return (<Epoch> epoch).number, (<Epoch> epoch).frames - 1
        return None

    @property
    def first_id(self):
        """(epoch, seq) of the oldest frame held, or None."""
        cdef int64_t index
        for index in range(self.first, self.end):
            if self.at(index).kind == KIND_FRAME:
                return self.at(index).epoch, self.at(index).seq
        return None

    @property
    def age_ns(self):
        """Monotonic time between the oldest and the newest item held."""
        return self.newest_monotonic_ns - self.at(self.first).monotonic_ns if self.end > self.first else 0

    def append_frame(
        self,
        int64_t epoch,
        int64_t seq,
        int64_t received_ns,
        int64_t monotonic_ns,
        int join_point,
        bint damaged,
        bytes item not None,
    ):
        """Takes the next frame, encoded by `wire.encode_frame`.

        Raises ValueError if it is not the next of its epoch, or its epoch is not the newest or is over.
        """
        call_all(self.take_frame(epoch, seq, received_ns, monotonic_ns, join_point, damaged, item))

    cdef list take_frame(
        self, int64_t epoch, int64_t seq, int64_t received_ns, int64_t monotonic_ns, int join_point, bint damaged,
        bytes item,
    ):
        cdef Epoch current = <Epoch> self.epochs[len(self.epochs) - 1] if self.epochs else None
        cdef Entry entry
        cdef list to_wake = []
        cdef bint opens = current is None or epoch > current.number
        cdef int64_t following = 0 if opens else current.frames
        if not opens and (epoch != current.number or current.ended):
            raise ValueError(f"{self.camera}: epoch {epoch} is over; epochs only grow")
        if seq != following:
            raise ValueError(f"{self.camera}/{epoch}: the next frame is {following}, not {seq}: ids have no holes")
        if opens:
            current = self._open_epoch(epoch, None)
        entry.epoch = epoch
        entry.seq = seq
        entry.received_ns = received_ns
        entry.monotonic_ns = monotonic_ns
        entry.frames_before = self.frames
        entry.count = 0
        entry.reason = 0
        entry.kind = KIND_FRAME
        # Decoding that begins at a damaged picture is not decoding from a join point.
        entry.joins = (join_point == 2 or join_point == 3) and not damaged
        entry.exact = join_point == 2
        current.frames += 1
        self.frames += 1
        self.append(&entry, item, to_wake)
        return to_wake

    def append_item(self, item):
        """Takes a Gap, EpochStarted or EpochEnded: the message, an Item with it, or its encoded `items` entry.

        Raises ValueError if it is of another camera or kind, or its epoch does not fit.
        """
        from broker.core.encode import encode_item
        from broker.core.wire import BatchReader
        from trueframe.v1 import frames_pb2

        cdef bytes encoded = item if isinstance(item, bytes) else encode_item(item)
        cdef Entry entry
        cdef Epoch current = <Epoch> self.epochs[len(self.epochs) - 1] if self.epochs else None
        cdef list to_wake = []
        messages = list(BatchReader(encoded))
        if len(messages) != 1:
            raise ValueError("exactly one item is appended at a time")
        message = messages[0]
        if not isinstance(message, (frames_pb2.Gap, frames_pb2.EpochStarted, frames_pb2.EpochEnded)):
            raise ValueError("frames are appended with append_frame")
        if message.camera != self.camera:
            raise ValueError(f"an item of {message.camera!r} does not belong to the ring of {self.camera!r}")
        entry.epoch = current.number if current is not None else 0
        entry.seq = -1
        entry.count = 0
        entry.reason = 0
        entry.joins = False
        entry.exact = False
        entry.received_ns = self.newest_ns
        entry.monotonic_ns = self.newest_monotonic_ns
        entry.frames_before = self.frames
        if isinstance(message, frames_pb2.Gap):
            entry.kind = KIND_GAP
            entry.reason = message.reason
            entry.count = message.count if message.HasField("count") else -1
            entry.received_ns = message.noticed_ns or self.newest_ns
        elif isinstance(message, frames_pb2.EpochStarted):
            if current is not None and message.epoch <= current.number:
                raise ValueError(f"{self.camera}: epoch {message.epoch} is not behind {current.number}")
            self._open_epoch(message.epoch, encoded)
            entry.kind = KIND_STARTED
            entry.epoch = message.epoch
            entry.received_ns = message.started_ns or self.newest_ns
            entry.monotonic_ns = message.monotonic_ns or self.newest_monotonic_ns
        else:
            if current is None or message.epoch != current.number or current.ended:
                raise ValueError(f"{self.camera}: epoch {message.epoch} cannot end, it is not running")
            current.ended = True
            entry.kind = KIND_ENDED
            entry.received_ns = message.ended_ns or self.newest_ns
        self.append(&entry, encoded, to_wake)
        call_all(to_wake)

    cdef Epoch _open_epoch(self, int64_t number, bytes started):
        cdef Epoch epoch = Epoch.__new__(Epoch)
        cdef Epoch oldest
        if self.epochs:
            # An epoch whose end was never told is over all the same.
            (<Epoch> self.epochs[len(self.epochs) - 1]).ended = True
        epoch.number = number
        epoch.first_ordinal = self.frames
        epoch.started = started
        self.epochs.append(epoch)
        while len(self.epochs) > REMEMBERED_EPOCHS:
            oldest = <Epoch> self.epochs[0]
            if self.end > self.first and self.at(self.first).frames_before < oldest.first_ordinal + oldest.frames:
                break
            self.epochs_forgotten = True
            del self.epochs[0]
        return epoch

    cdef Entry* at(self, int64_t index) noexcept:
        return &self.entries[index & (self.capacity - 1)]

    cdef int append(self, Entry* entry, object item, list to_wake) except -1:
        global _live_items
        if self.end - self.first == self.capacity:
            self.grow()
        Py_INCREF(item)
        _live_items += 1
        entry.item = <PyObject*> item
        entry.size = len(<bytes> item)
        entry.exact_before = self.exact_frames
        entry.bytes_before = self.taken_bytes
        entry.exact_bytes_before = self.exact_bytes
        self.at(self.end)[0] = entry[0]
        if entry.joins:
            self.newest_join = self.end
        if entry.exact:
            self.newest_exact = self.end
            self.exact_frames += 1
            self.exact_bytes += entry.size
        self.end += 1
        self.bytes += entry.size
        self.taken_bytes += entry.size
        if self.account is not None:
            self.account.used_bytes += entry.size + self.account.item_cost
        if entry.received_ns > self.newest_ns:
            self.newest_ns = entry.received_ns
        if entry.monotonic_ns > self.newest_monotonic_ns:
            self.newest_monotonic_ns = entry.monotonic_ns
        while self.end - self.first > 1 and (
            self.bytes > self.max_bytes
            or self.end - self.first > self.max_items
            or self.newest_monotonic_ns - self.at(self.first).monotonic_ns > self.max_ns
        ):
            self.evict_one()
        for reader in self.readers:
            (<RingReader> reader).appended(to_wake)
        return 0

    cdef int evict_one(self) except -1:
        global _live_items
        cdef Entry* entry = self.at(self.first)
        cdef PyObject* item = entry.item
        if entry.kind == KIND_FRAME:
            self.evicted_frames += 1
        elif entry.kind == KIND_GAP:
            # A loss that nobody read of must not be lost itself.
            self.evicted_gap_ordinal = entry.frames_before
            self.evicted_gap_reason = entry.reason
            for reader in self.readers:
                if (<RingReader> reader).next_index <= self.first:
                    (<RingReader> reader).gap_evicted(entry.reason, entry.count)
        self.evicted_items += 1
        self.bytes -= entry.size
        if self.account is not None:
            self.account.used_bytes -= entry.size + self.account.item_cost
        self.first += 1
        _live_items -= 1
        Py_DECREF(<object> item)
        return 0

    cdef int evict_group(self) except -1:
        """Evicts from the oldest item up to the next join point, or one item where there is none; never the newest."""
        cdef int64_t until = self.first + 1
        while until < self.end and not self.at(until).joins:
            until += 1
        if until == self.end:
            until = self.first + 1
        while self.first < until and self.end - self.first > 1:
            self.evict_one()
        return 0

    cdef int leave_account(self) except -1:
        """Its bytes count no longer."""
        if self.account is not None:
            self.account.used_bytes -= self.cost()
            self.account = None
        return 0

    cdef int64_t cost(self) noexcept:
        """What it takes of the account."""
        return self.bytes + (self.end - self.first) * (self.account.item_cost if self.account is not None else 0)

    cdef int grow(self) except -1:
        cdef Py_ssize_t capacity = self.capacity * 2 if self.capacity else INITIAL_ITEMS
        cdef Entry* entries = <Entry*> PyMem_RawRealloc(NULL, capacity * sizeof(Entry))
        cdef int64_t index
        if entries == NULL:
            raise MemoryError
        for index in range(self.first, self.end):
            entries[index & (capacity - 1)] = self.at(index)[0]
        PyMem_RawFree(self.entries)
        self.entries = entries
        self.capacity = capacity
        return 0

    cdef int64_t behind(self, int64_t ordinal) noexcept:
        """Index of the first entry held that has at least `ordinal` frames before it; `end` if there is none."""
        cdef int64_t low = self.first, high = self.end, middle
        while low < high:
            middle = (low + high) // 2
            if self.at(middle).frames_before < ordinal:
                low = middle + 1
            else:
                high = middle
        return low

    cdef int64_t oldest_join(self) noexcept:
        """Index of the oldest join point held; without one, of the oldest entry."""
        cdef int64_t index
        for index in range(self.first, self.end):
            if self.at(index).joins:
                return index
        return self.first

    cdef int64_t oldest_exact(self) noexcept:
        """Index of the oldest exact join point held; `end` without one."""
        cdef int64_t index
        for index in range(self.first, self.end):
            if self.at(index).exact:
                return index
        return self.end

    cdef Epoch epoch(self, int64_t number):
        """The epoch of that number, or None. Newest first: that is nearly always the one."""
        cdef Py_ssize_t i
        for i in range(len(self.epochs) - 1, -1, -1):
            if (<Epoch> self.epochs[i]).number == number:
                return <Epoch> self.epochs[i]
        return None
