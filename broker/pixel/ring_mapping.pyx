"""The reading side of a picture ring: a mapping that nobody can write through, and waiting for what is new in it.

Here: records, planes, whether they are whole, pins, sleeping. Not here: the layout (ring_layout.pyx), following a
camera through rings and hosts (reader.py), the connection over which a ring comes (connection.py).
"""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_FillInfo
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from broker.pixel.pins cimport SLEEPS_IN_POLL, SLEEPS_ON_RING, PinHand, pin_word
from broker.pixel.ring_layout cimport (
    NV12_, OPEN_, PAGE_BYTES, SLOT_HEADER_BYTES, bytes_of, fill_geometry, map_ring, tf_futex_wait, tf_futex_wake,
    tf_header, tf_load, tf_load32, tf_record, tf_reload, tf_slot, unmap_ring,
)

import fcntl
import os

import numpy as np

from broker.pixel.ring_layout import MAGIC, SIZE_SEALS, VERSION


cdef class RingMapping:
    """A reader's view of one ring: read-only memory that lives as long as anything refers to it.

    Takes a duplicate of nothing: descriptors may be closed afterwards. `pins_fd` is the page for this reader's pins, if
    it has one. Exposes the whole memory by the buffer protocol, read-only. Raises ValueError when the descriptor is no
    ring, is not sealed, or has another size than its header.
    """

    cdef uint8_t *_base
    cdef tf_header *_shared
    cdef tf_header _header
    cdef uint64_t _bytes
    cdef PinHand _hand

    def __init__(self, int fd, int pins_fd=-1):
        cdef tf_header expected
        if self._base is not NULL:
            raise RuntimeError("a mapping is set up once")
        try:
            seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        except OSError as error:
            raise ValueError("not a picture ring: the descriptor cannot be sealed") from error
        if seals & SIZE_SEALS != SIZE_SEALS:
            raise ValueError("not a picture ring: its size is not sealed, so that reading could fault")
        size = os.fstat(fd).st_size
        if size < PAGE_BYTES:
            raise ValueError(f"not a picture ring: {size} bytes")
        self._bytes = size
        self._base = map_ring(fd, self._bytes, False)
        self._shared = <tf_header *>self._base
        # A private copy: geometry that was checked cannot change afterwards.
        memcpy(&self._header, self._shared, sizeof(tf_header))
        if self._header.magic[:8] != MAGIC:
            raise ValueError("not a picture ring: wrong magic number")
        if self._header.version != <uint32_t>VERSION:
            raise ValueError(f"picture ring of version {self._header.version}: this reader knows {VERSION}")
        memcpy(&expected, &self._header, sizeof(tf_header))
        fill_geometry(&expected)
        if (
            expected.y_stride != self._header.y_stride or expected.chroma_stride != self._header.chroma_stride
            or expected.records_offset != self._header.records_offset or expected.u_offset != self._header.u_offset
            or expected.v_offset != self._header.v_offset or expected.slots_offset != self._header.slots_offset
            or expected.slot_stride != self._header.slot_stride or bytes_of(&expected) != self._bytes
        ):
            raise ValueError(f"picture ring of {size} bytes: its header describes {bytes_of(&expected)}")
        if pins_fd >= 0:
            self._hand = PinHand(pins_fd, self._header.slots)

    def __dealloc__(self):
        unmap_ring(self._base, self._bytes)

    def __getbuffer__(self, Py_buffer *view, int flags):
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError("pictures are read-only")
        PyBuffer_FillInfo(view, self, self._base, self._bytes, 1, flags)

    def __releasebuffer__(self, Py_buffer *view):
        pass

    @property
    def camera(self):
        """Camera id."""
        return self._header.camera[:64].rstrip(b"\0").decode("ascii", "replace")

    @property
    def width(self):
        """Picture width in pixels."""
        return self._header.width

    @property
    def height(self):
        """Picture height in pixels."""
        return self._header.height

    @property
    def layout(self):
        """I420 or NV12."""
        return self._header.format

    @property
    def slots(self):
        """Pictures held."""
        return self._header.slots

    @property
    def records(self):
        """Records held."""
        return self._header.records

    @property
    def generation(self):
        """Counts up with each ring of the camera."""
        return self._header.generation

    @property
    def session(self):
        """Differs when another run of the decoder wrote the ring."""
        return self._header.session

    @property
    def size_bytes(self):
        """Memory of the ring."""
        return self._bytes

    @property
    def head(self):
        """Records that are complete: numbers 0 to head - 1 were written."""
        return tf_load(&self._shared.head)

    @property
    def state(self):
        """OPEN, SUPERSEDED or CLOSED; read it before `head` to know that nothing follows."""
        return tf_load32(&self._shared.state)

    def record(self, uint64_t number):
        """One record, or None if it was overwritten.

        A tuple: kind, reason, flags, slot, epoch, first_seq, last_seq, received_ns, slot_sequence, floor. Raises
        IndexError when it was not written yet.
        """
        cdef tf_record copy
        cdef const tf_record *record = (
            <const tf_record *>(self._base + self._header.records_offset) + number % self._header.records
        )
        cdef uint64_t stamp
        with nogil:
            stamp = tf_load(&record.stamp)
            if stamp == 2 * number + 2:
                memcpy(&copy, record, sizeof(copy))
                stamp = tf_reload(&record.stamp)
        if stamp != 2 * number + 2:
            if stamp < 2 * number + 2:
                raise IndexError(f"record {number} is not written yet")
            return None
        if copy.slot >= self._header.slots:
            raise ValueError(f"record {number} names slot {copy.slot} of {self._header.slots}")
        return (
            copy.kind, copy.reason, copy.flags, copy.slot, copy.epoch, copy.first_seq, copy.last_seq,
            copy.received_ns, copy.slot_sequence, copy.floor,
        )

    cdef tf_slot *_slot(self, uint32_t slot) except NULL:
        if slot >= self._header.slots:
            raise IndexError(f"slot {slot} of {self._header.slots}")
        return <tf_slot *>(self._base + self._header.slots_offset + slot * self._header.slot_stride)

    def is_whole(self, uint32_t slot, uint64_t sequence):
        """Whether the slot still holds the picture of this sequence number; ask after use, not only before."""
        return tf_reload(&self._slot(slot).sequence) == sequence

    def pin(self, uint32_t slot, uint64_t sequence):
        """Holds a picture in its slot until as many calls of `unpin`; whether that could be done.

        False: it was overwritten before, as many pictures are held as one reader may (`pins.pins_per_reader`), or the
        host gave no page for pins. The writer may break a pin after `HOLD_NS`: `is_whole` tells.
        """
        cdef tf_slot *shared = self._slot(slot)
        if self._hand is None or not self._hand.take(slot, sequence):
            return False
        if tf_load(&self._shared.claim) != pin_word(slot, sequence) and tf_load(&shared.sequence) == sequence:
            return True
        self._hand.drop(slot, sequence)
        return False

    def unpin(self, uint32_t slot, uint64_t sequence):
        """The inverse of one `pin` that was True."""
        if self._hand is not None:
            self._hand.drop(slot, sequence)

    cdef bint _has_news(self, uint64_t seen) noexcept nogil:
        return tf_load(&self._shared.head) != seen or tf_load32(&self._shared.state) != OPEN_

    def sleep(self, uint64_t seen, int64_t timeout_ns):
        """Sleeps until there are other than `seen` records, or the ring is no longer OPEN; whether that is so.

        False after `timeout_ns`, after `rouse`, and now and then without a reason. One thread at a time. Raises
        ValueError without a page of one's own: the writer would not know that somebody sleeps.
        """
        cdef uint32_t word
        cdef bint news
        if self._hand is None:
            raise ValueError("only a reader with a page for pins can sleep on a ring")
        with nogil:
            # Told before the look: either the look sees the news, or the writer sees the sleeper.
            self._hand.tell(SLEEPS_ON_RING)
            word = tf_load32(&self._shared.wake)
            if not self._has_news(seen):
                tf_futex_wait(&self._shared.wake, word, max(0, timeout_ns))
            self._hand.tell(0)
            news = self._has_news(seen)
        PyErr_CheckSignals()
        return news

    def rouse(self):
        """Ends a `sleep` in another thread; from any thread."""
        tf_futex_wake(&self._shared.wake)

    def expect_messages(self, uint64_t seen):
        """Has the writer send a message with each piece of news, until `awake`; False if there is news already.

        For readers that wait in `poll` or an event loop. Without a page for pins each piece of news comes with one.
        """
        if self._hand is not None:
            self._hand.tell(SLEEPS_IN_POLL)
        return not self._has_news(seen)

    def awake(self):
        """The inverse of `expect_messages`: the reader looks by itself."""
        if self._hand is not None:
            self._hand.tell(0)

    @property
    def can_sleep(self):
        """Whether `sleep` works here."""
        return self._hand is not None

    @property
    def pins(self):
        """Pictures held at present."""
        return 0 if self._hand is None else self._hand.held

    def monotonic_ns(self, uint32_t slot):
        """The broker's monotonic time of the picture in the slot; believe it only if `is_whole` afterwards."""
        return self._slot(slot).monotonic_ns

    def published_ns(self, uint32_t slot):
        """This machine's monotonic time at which the picture was whole; believe it only if `is_whole` afterwards."""
        return self._slot(slot).published_ns

    def planes(self, uint32_t slot):
        """Views of a slot: (y, u, v), read-only uint8 arrays that keep the memory mapped."""
        self._slot(slot)
        cdef tf_header *header = &self._header
        start = header.slots_offset + slot * header.slot_stride
        chroma = ((header.height + 1) // 2, (header.width + 1) // 2)
        strides = (header.chroma_stride, 2 if header.format == NV12_ else 1)
        return (
            np.ndarray((header.height, header.width), np.uint8, self, start + SLOT_HEADER_BYTES, (header.y_stride, 1)),
            np.ndarray(chroma, np.uint8, self, start + header.u_offset, strides),
            np.ndarray(chroma, np.uint8, self, start + header.v_offset, strides),
        )
