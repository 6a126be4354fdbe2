"""The writing side of a picture ring: the only one that changes it.

Here: choosing slots, copying planes in, telling of them, waking who sleeps on the ring. Not here: the layout
(ring_layout.pyx), who may have a ring (handover.py), readers that wait in `poll` (they are told who by a return value,
and outlet.py sends them a message).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from broker.pixel.pins cimport SLEEPS_IN_POLL, SLEEPS_ON_RING, PinBoard, PinRow, pin_word
from broker.pixel.ring_layout cimport (
    CLOSED_, I420_, MISSING_, NV12_, OPEN_, PICTURE_, SLOT_HEADER_BYTES, SLOTS_AT_MOST, bytes_of, fill_geometry,
    map_ring, tf_futex_wake, tf_header, tf_load32, tf_monotonic_ns, tf_news, tf_open, tf_record, tf_slot, tf_store, tf_store32,
    unmap_ring,
)

import fcntl
import os

from broker.pixel.ring_layout import DEFAULT_RECORDS, HOLD_NS, I420, MAGIC, SEALS, VERSION


cdef class RingWriter:
    """The only writer of one ring. Not for use by two threads at once.

    A pinned picture outlives the moment at which its slot would have been overwritten by up to `hold_ns`. Raises
    ValueError for an impossible shape and OSError when the memory cannot be had.
    """

    cdef uint8_t *_base
    cdef tf_header *_header
    cdef uint64_t _bytes, _head, _pictures
    cdef PinBoard _pins
    cdef int64_t _hold_ns
    # Of each slot: the picture in it, counted from 1 (0: none yet), and since when it has been spared.
    cdef uint64_t _number[SLOTS_AT_MOST]
    cdef int64_t _spared_ns[SLOTS_AT_MOST]
    cdef readonly uint64_t broken_pins
    cdef readonly int fd
    cdef readonly str camera

    def __cinit__(self):
        self.fd = -1

    def __init__(
        self, str camera, uint32_t width, uint32_t height, *, uint32_t slots=4, uint32_t records=DEFAULT_RECORDS,
        uint32_t layout=I420, uint64_t generation=1, uint64_t session=0, int64_t hold_ns=HOLD_NS,
    ):
        cdef tf_header header
        cdef bytes name = camera.encode(), magic = MAGIC
        if self._base is not NULL:
            raise RuntimeError("a ring is set up once")
        if not 0 < len(name) < 64:
            raise ValueError(f"camera id of {len(name)} bytes: 1 to 63 fit")
        memset(&header, 0, sizeof(header))
        memcpy(header.magic, <const char *>magic, 8)
        memcpy(header.camera, <const char *>name, len(name))
        header.version, header.format, header.width, header.height = VERSION, layout, width, height
        header.slots, header.records, header.generation, header.session = slots, records, generation, session
        fill_geometry(&header)
        self._bytes = bytes_of(&header)
        self._pins = PinBoard(slots)
        self._hold_ns = hold_ns
        self.camera = camera
        self.fd = os.memfd_create(f"trueframe-pixels-{camera}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            # Reserved now: a machine out of memory says so here, and not by a SIGBUS in the middle of a picture.
            os.posix_fallocate(self.fd, 0, self._bytes)
            self._base = map_ring(self.fd, self._bytes, True)
            self._header = <tf_header *>self._base
            memcpy(self._header, &header, sizeof(header))
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, SEALS)
        except BaseException:
            self.close()
            raise

    @property
    def size_bytes(self):
        """Memory of the ring."""
        return self._bytes

    @property
    def width(self):
        """Picture width in pixels."""
        self._check_open()
        return self._header.width

    @property
    def height(self):
        """Picture height in pixels."""
        self._check_open()
        return self._header.height

    @property
    def layout(self):
        """I420 or NV12."""
        self._check_open()
        return self._header.format

    @property
    def slots(self):
        """Pictures held."""
        self._check_open()
        return self._header.slots

    @property
    def generation(self):
        """Counts up with each ring of the camera."""
        self._check_open()
        return self._header.generation

    @property
    def head(self):
        """Records written."""
        return self._head

    cdef int _check_open(self) except -1:
        if self._base is NULL:
            raise ValueError("the ring is closed")
        return 0

    def attach(self, PinRow row not None):
        """Honours a reader's pins until `detach`."""
        self._check_open()
        self._pins.attach(row)

    def detach(self, PinRow row not None):
        """Forgets a reader's pins, at once. Unknown rows are ignored."""
        if self._pins is not None:
            self._pins.detach(row)

    cdef uint64_t *_sequence_of(self, uint32_t slot) noexcept nogil:
        return &(<tf_slot *>(self._base + self._header.slots_offset + slot * self._header.slot_stride)).sequence

    cdef bint _open_unless_pinned(self, uint32_t slot) noexcept nogil:
        """Marks a slot as being written, or leaves it as it is because a reader holds it.

        The claim is made before the look at the pins, and a reader pins before it looks at the claim: of the two at
        least one sees the other. The slot itself is not marked before that is settled, so that a picture in somebody's
        hands never looks overwritten for a moment.
        """
        cdef uint64_t held = 2 * self._number[slot]
        if held:
            tf_open(&self._header.claim, pin_word(slot, held))
            if self._pins.holds(slot, held):
                return False
        tf_open(self._sequence_of(slot), 2 * self._pictures + 1)
        return True

    cdef uint32_t _open_slot(self, int64_t now_ns) noexcept nogil:
        """Picks the slot of the next picture and marks it as being written. Never waits.

        From the oldest picture on, the first that nobody holds or that was spared for long enough. The newest is not
        among them (in a ring of two it is the last resort): a reader that was woken for it must have its chance. When
        all of them are held, the oldest loses its pin, as it would have lost its slot without any pins.
        """
        cdef uint32_t slots = self._header.slots, slot, other, oldest = 0
        cdef uint32_t candidates = slots if slots == 2 else slots - 1
        cdef uint32_t rank
        cdef uint64_t above = 0, number
        for rank in range(candidates):
            slot = slots
            for other in range(slots):
                number = self._number[other]
                if number == 0:  # still empty
                    slot = other
                    break
                if number > above and (slot == slots or number < self._number[slot]):
                    slot = other
            above = self._number[slot]
            if self._open_unless_pinned(slot):
                return slot
            if rank == 0:
                oldest = slot
            if now_ns == 0:
                now_ns = tf_monotonic_ns()
            if self._spared_ns[slot] == 0:
                self._spared_ns[slot] = now_ns
            elif now_ns - self._spared_ns[slot] >= self._hold_ns:
                oldest = slot
                break
        self.broken_pins += 1
        tf_open(&self._header.claim, pin_word(oldest, 2 * self._number[oldest]))
        tf_open(self._sequence_of(oldest), 2 * self._pictures + 1)
        return oldest

    cdef void _append(self, tf_record *content) noexcept nogil:
        cdef tf_record *record = (
            <tf_record *>(self._base + self._header.records_offset) + self._head % self._header.records
        )
        tf_open(&record.stamp, 2 * self._head + 1)
        # All but the stamp.
        memcpy(<uint8_t *>record + 8, <uint8_t *>content + 8, sizeof(tf_record) - 8)
        tf_store(&record.stamp, 2 * self._head + 2)
        self._head += 1
        tf_store(&self._header.head, self._head)

    cdef bint _wake(self) noexcept nogil:
        """Wakes the sleepers, by one call for all and none if nobody sleeps; whether others wait in `poll`."""
        cdef uint32_t states
        tf_news(&self._header.wake)
        states = self._pins.sleepers()
        if states & SLEEPS_ON_RING:
            tf_futex_wake(&self._header.wake)
        return states & SLEEPS_IN_POLL != 0

    def write_picture(
        self, const uint8_t[::1] y, Py_ssize_t y_stride, const uint8_t[::1] u, Py_ssize_t u_stride,
        v, Py_ssize_t v_stride, *, int64_t epoch, int64_t seq, int64_t received_ns, int64_t monotonic_ns=0,
        uint16_t flags=0, int64_t floor=-1, int64_t now_ns=0,
    ):
        """Copies one picture into the next slot and tells of it. The GIL is released while bytes move.

        Wakes readers that sleep on the ring; returns whether others wait in `poll`, for a message (`PinRow.polls`).
        `u` holds interleaved chroma and `v` is None in an NV12 ring. `floor`: every seq of the epoch up to it has been
        told by now. `now_ns` is monotonic; 0 asks the system, if a pin makes it matter. Raises ValueError when a plane
        is smaller than the picture, or the ring is closed.
        """
        self._check_open()
        cdef tf_header *header = self._header
        cdef Py_ssize_t width = header.width, height = header.height
        cdef Py_ssize_t chroma_height = (height + 1) // 2
        cdef Py_ssize_t chroma_bytes = (width + 1) // 2 * (2 if header.format == NV12_ else 1)
        cdef const uint8_t[::1] third
        cdef const uint8_t *v_start = NULL
        _check_plane(y.shape[0], y_stride, width, height)
        _check_plane(u.shape[0], u_stride, chroma_bytes, chroma_height)
        if header.format == I420_:
            third = v
            _check_plane(third.shape[0], v_stride, chroma_bytes, chroma_height)
            v_start = &third[0]
        elif v is not None:
            raise ValueError("an NV12 ring has no third plane")
        cdef const uint8_t *y_start = &y[0]
        cdef const uint8_t *u_start = &u[0]
        cdef uint32_t slot
        cdef uint8_t *base
        cdef tf_slot *head
        cdef tf_record record
        cdef bint polling
        with nogil:
            slot = self._open_slot(now_ns)
            base = self._base + header.slots_offset + slot * header.slot_stride
            head = <tf_slot *>base
            head.epoch, head.seq, head.flags, head.record = epoch, seq, flags, self._head
            head.received_ns, head.monotonic_ns = received_ns, monotonic_ns
            _copy(base + SLOT_HEADER_BYTES, header.y_stride, y_start, y_stride, width, height)
            _copy(base + header.u_offset, header.chroma_stride, u_start, u_stride, chroma_bytes, chroma_height)
            if v_start is not NULL:
                _copy(base + header.v_offset, header.chroma_stride, v_start, v_stride, chroma_bytes, chroma_height)
            head.published_ns = tf_monotonic_ns()
            self._pictures += 1
            self._number[slot], self._spared_ns[slot] = self._pictures, 0
            tf_store(&head.sequence, 2 * self._pictures)
            # Not earlier: who finds no claim finds the new number.
            tf_store(&self._header.claim, 0)
            record.kind, record.reason, record.flags, record.slot = PICTURE_, 0, flags, slot
            record.epoch, record.first_seq, record.last_seq = epoch, seq, seq
            record.received_ns, record.slot_sequence, record.floor = received_ns, 2 * self._pictures, floor
            self._append(&record)
            polling = self._wake()
        return polling

    def write_missing(
        self, *, int64_t epoch, int64_t first_seq, int64_t last_seq, uint8_t reason, int64_t received_ns=0,
        int64_t floor=-1,
    ):
        """Tells that the frames first_seq to last_seq have no picture; wakes and returns as `write_picture`.

        Raises ValueError for an empty run.
        """
        self._check_open()
        if not 0 <= first_seq <= last_seq:
            raise ValueError(f"frames {first_seq} to {last_seq} are no run")
        cdef tf_record record
        record.kind, record.reason, record.flags, record.slot = MISSING_, reason, 0, 0
        record.epoch, record.first_seq, record.last_seq = epoch, first_seq, last_seq
        record.received_ns, record.slot_sequence, record.floor = received_ns, 0, floor
        self._append(&record)
        return self._wake()

    def set_state(self, uint32_t state):
        """Tells readers what follows the last record: OPEN, SUPERSEDED (another generation) or CLOSED. Wakes likewise."""
        self._check_open()
        if state > 2:
            raise ValueError(f"state {state} is unknown")
        tf_store32(&self._header.state, state)
        return self._wake()

    def close(self):
        """Unmaps and closes; readers keep what they have mapped and see the state CLOSED. May be called again."""
        if self._base is not NULL:
            if tf_load32(&self._header.state) == OPEN_:
                tf_store32(&self._header.state, CLOSED_)
                self._wake()
            unmap_ring(self._base, self._bytes)
            self._base = NULL
            self._header = NULL
            self._pins = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __dealloc__(self):
        unmap_ring(self._base, self._bytes)
        if self.fd >= 0:
            os.close(self.fd)


cdef int _check_plane(Py_ssize_t size, Py_ssize_t stride, Py_ssize_t row_bytes, Py_ssize_t rows) except -1:
    if stride < row_bytes or size < stride * (rows - 1) + row_bytes:
        raise ValueError(f"a plane of {size} bytes with rows of {stride} is too small for {rows} rows of {row_bytes}")
    return 0


cdef void _copy(
    uint8_t *target, Py_ssize_t target_stride, const uint8_t *source, Py_ssize_t source_stride, Py_ssize_t row_bytes,
    Py_ssize_t rows,
) noexcept nogil:
    cdef Py_ssize_t row
    if target_stride == source_stride:
        memcpy(target, source, source_stride * (rows - 1) + row_bytes)
        return
    for row in range(rows):
        memcpy(target + row * target_stride, source + row * source_stride, row_bytes)
