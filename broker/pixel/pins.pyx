"""Pins: a reader asks that a slot be left alone while it works on the picture, without a copy and without a call.

Here: the page on which one reader writes its pins, and both sides' view of it. Not here: what the writer does about
pins (ring_writer.pyx), handing pages over (handover.py), when a reader pins (reader.py). docs/design/0007-pixels.md says why.

A page is a memfd of its own for each reader and ring: the reader is the only one that writes it, nobody else can see
it but the host, and its size is sealed, so that the host cannot be made to fault. The first word says whether the reader
sleeps, and how it is woken. Each word after it is an entry, `slot sequence * 64 + slot`, or 0; whatever else a reader
writes there names no picture and does nothing. Only the first `pins_per_reader` entries are looked at.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc

import fcntl
import os

cdef extern from "<sys/mman.h>":
    void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset) nogil
    int munmap(void *address, size_t length) nogil
    int PROT_READ, PROT_WRITE, MAP_SHARED, MAP_POPULATE
    void *MAP_FAILED

cdef enum:
    PAGE = 4096
    MAX_PINS = 31  # of one reader in a ring of 64 slots

_SIZE_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_SEALS = _SIZE_SEALS | fcntl.F_SEAL_SEAL

cdef int64_t _mapped = 0


def mapped_pages():
    """Mappings of pin pages that this process holds at present, both sides counted: for tests of leaks."""
    return _mapped


def pins_per_reader(uint32_t slots):
    """Pictures that one reader may hold in a ring of so many slots: two readers that hold all they may leave two."""
    return _pins_per_reader(slots)


cdef uint32_t _pins_per_reader(uint32_t slots) noexcept nogil:
    if slots < 6:
        return 1
    return min((slots - 2) // 2, <uint32_t>MAX_PINS)


cdef void *_map(int fd, int protection) except NULL:
    global _mapped
    cdef void *memory = mmap(NULL, PAGE, protection, MAP_SHARED | MAP_POPULATE, fd, 0)
    if memory == MAP_FAILED:
        raise OSError("cannot map a page of pins")
    _mapped += 1
    return memory


cdef class PinRow:
    """The host's side of one reader's page. Raises OSError when it cannot be had."""

    def __cinit__(self):
        self.fd = -1

    def __init__(self):
        if self.asleep is not NULL or self.fd >= 0:
            raise RuntimeError("a row is set up once")
        self.fd = os.memfd_create("trueframe-pins", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.posix_fallocate(self.fd, 0, PAGE)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        self.asleep = <const uint64_t *>_map(self.fd, PROT_READ)
        self.entries = self.asleep + 1

    @property
    def polls(self):
        """Whether the reader waits in `poll` at present, for a message."""
        return tf_load_pin(self.asleep) == SLEEPS_IN_POLL

    def handed_over(self):
        """Closes the descriptor: the reader has its own by now. The page stays mapped."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __dealloc__(self):
        global _mapped
        if self.asleep is not NULL:
            munmap(<void *>self.asleep, PAGE)
            _mapped -= 1
        if self.fd >= 0:
            os.close(self.fd)


cdef class PinBoard:
    """All rows of one ring, as its writer sees them. Not for use by two threads at once."""

    def __init__(self, uint32_t slots):
        self.rows = []
        self.honoured = _pins_per_reader(slots)

    def attach(self, PinRow row not None):
        """From now on this reader's pins count."""
        cdef const uint64_t **grown
        if self.count == self.capacity:
            grown = <const uint64_t **>realloc(self.entries, (self.capacity + 16) * sizeof(uint64_t *))
            if grown is NULL:
                raise MemoryError
            self.entries = grown
            self.capacity += 16
        self.rows.append(row)
        self.entries[self.count] = row.entries
        self.count += 1

    def detach(self, PinRow row not None):
        """Forgets a reader and all that it held. Unknown rows are ignored."""
        cdef PinRow one
        self.rows = [other for other in self.rows if other is not row]
        self.count = 0
        for one in self.rows:
            self.entries[self.count] = one.entries
            self.count += 1

    def __len__(self):
        return self.count

    cdef bint holds(self, uint32_t slot, uint64_t sequence) noexcept nogil:
        cdef uint64_t word = pin_word(slot, sequence)
        cdef uint32_t row, entry
        for row in range(self.count):
            for entry in range(self.honoured):
                if tf_load_pin(self.entries[row] + entry) == word:
                    return True
        return False

    cdef uint32_t sleepers(self) noexcept nogil:
        cdef uint32_t row, states = 0
        for row in range(self.count):
            # Whatever a reader writes here costs at most one call that wakes nobody.
            states |= <uint32_t>tf_load_pin(self.entries[row] - 1)
        return states

    def __dealloc__(self):
        free(self.entries)


cdef class PinHand:
    """A reader's side of its page. Holding the same picture twice takes one entry; it is let go of as often as held.

    `fd` may be closed afterwards. Raises ValueError when the descriptor is no page of pins.
    """

    def __init__(self, int fd, uint32_t slots):
        if self.asleep is not NULL:
            raise RuntimeError("a page is mapped once")
        try:
            seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        except OSError as error:
            raise ValueError("not a page of pins: the descriptor cannot be sealed") from error
        if seals & _SIZE_SEALS != _SIZE_SEALS or os.fstat(fd).st_size != PAGE:
            raise ValueError(f"not a page of pins: {os.fstat(fd).st_size} bytes, or its size is not sealed")
        self.usable = _pins_per_reader(slots)
        self.asleep = <uint64_t *>_map(fd, PROT_READ | PROT_WRITE)
        self.entries = self.asleep + 1

    @property
    def held(self):
        """Pictures held at present."""
        cdef uint32_t entry
        return sum([1 for entry in range(self.usable) if self.counts[entry]])

    def pin(self, uint32_t slot, uint64_t sequence):
        """Asks for a slot; False when as many are held as may be. It holds if the slot is whole after this call."""
        return self.take(slot, sequence)

    def unpin(self, uint32_t slot, uint64_t sequence):
        """The inverse of one `pin` that was True."""
        self.drop(slot, sequence)

    cdef void tell(self, uint64_t state) noexcept nogil:
        tf_set_pin(self.asleep, state)

    cdef bint take(self, uint32_t slot, uint64_t sequence) noexcept:
        cdef uint64_t word = pin_word(slot, sequence)
        cdef uint32_t entry, vacant = MAX_PINS
        for entry in range(self.usable):
            if self.counts[entry] == 0:
                vacant = min(vacant, entry)
            elif tf_load_pin(self.entries + entry) == word:
                self.counts[entry] += 1
                return True
        if vacant == MAX_PINS:
            return False
        self.counts[vacant] = 1
        tf_set_pin(self.entries + vacant, word)
        return True

    cdef void drop(self, uint32_t slot, uint64_t sequence) noexcept:
        cdef uint64_t word = pin_word(slot, sequence)
        cdef uint32_t entry
        for entry in range(self.usable):
            if self.counts[entry] and tf_load_pin(self.entries + entry) == word:
                self.counts[entry] -= 1
                if self.counts[entry] == 0:
                    tf_clear_pin(self.entries + entry)
                return

    def __dealloc__(self):
        global _mapped
        if self.asleep is not NULL:
            munmap(self.asleep, PAGE)
            _mapped -= 1
