"""Picture ring: decoded planes and the story of every frame, in one sealed memfd per camera and resolution.

Here: the memory layout, the writer's and the reader's side of it. Not here: who may have a ring (handover.py), waking
and waiting, the meaning of reasons (client.py), the pages on which readers pin (pins.pyx).
docs/design/0007-pixels.md draws the layout and says why.

One writer, any number of readers. The writer waits for nobody: it overwrites the oldest record, and of the slots the
oldest that no reader has pinned, or whose pins have had their time. A slot and a record each carry a sequence number that is odd while they are written (a seqlock), so a reader
notices afterwards whether what it used was whole. Readers map read-only; the seals keep them from anything else, and
keep the writer's size fixed so that a reader cannot be made to fault.
"""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_FillInfo
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from libc.time cimport time_t

from broker.pixel.pins cimport PinBoard, PinHand, PinRow, pin_word

import fcntl
import os

import numpy as np

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #include <sys/mman.h>

    #define TF_PAGE 4096u

    typedef struct {
        char magic[8];
        uint32_t version, format, width, height, y_stride, chroma_stride, slots, records;
        uint64_t records_offset, slots_offset, slot_stride, u_offset, v_offset, generation, session;
        char camera[64];
        char padding[256 - 8 - 8 * 4 - 7 * 8 - 64];
        uint64_t head;   /* records that are complete; a cache line of its own */
        uint32_t state, reserved;
        uint64_t claim;  /* the pin word of the picture that the writer means to overwrite, or overwrites, or 0 */
    } tf_header;

    typedef struct {
        uint64_t stamp;  /* of record n: 2n+1 while it is written, 2n+2 when whole */
        uint8_t kind, reason;
        uint16_t flags;
        uint32_t slot;
        int64_t epoch, first_seq, last_seq, received_ns;
        uint64_t slot_sequence;
        int64_t floor;
    } tf_record;

    typedef struct {
        uint64_t sequence;  /* of picture p: 2p+1 while it is written, 2p+2 when whole */
        int64_t epoch, seq, received_ns, monotonic_ns;
        uint32_t flags, reserved;
        uint64_t record, unused;
    } tf_slot;

    _Static_assert(sizeof(tf_record) == 64 && sizeof(tf_slot) == 64, "both are cache lines");
    _Static_assert(sizeof(tf_header) <= TF_PAGE, "the header is one page");

    static inline uint64_t tf_load(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void tf_store(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline uint32_t tf_load32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void tf_store32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    /* Marks the beginning of a write: no later store may become visible before the odd number. */
    static inline void tf_open(uint64_t *p, uint64_t v) {
        __atomic_store_n(p, v, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    /* Ends a read: no earlier load may be satisfied after the sequence number is read again. */
    static inline uint64_t tf_reload(const uint64_t *p) {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return __atomic_load_n(p, __ATOMIC_RELAXED);
    }
    """
    ctypedef struct tf_header:
        char magic[8]
        uint32_t version, format, width, height, y_stride, chroma_stride, slots, records
        uint64_t records_offset, slots_offset, slot_stride, u_offset, v_offset, generation, session
        char camera[64]
        uint64_t head
        uint32_t state
        uint64_t claim

    ctypedef struct tf_record:
        uint64_t stamp
        uint8_t kind, reason
        uint16_t flags
        uint32_t slot
        int64_t epoch, first_seq, last_seq, received_ns
        uint64_t slot_sequence
        int64_t floor

    ctypedef struct tf_slot:
        uint64_t sequence
        int64_t epoch, seq, received_ns, monotonic_ns
        uint32_t flags
        uint64_t record

    uint64_t tf_load(const uint64_t *p) nogil
    void tf_store(uint64_t *p, uint64_t v) nogil
    uint32_t tf_load32(const uint32_t *p) nogil
    void tf_store32(uint32_t *p, uint32_t v) nogil
    void tf_open(uint64_t *p, uint64_t v) nogil
    uint64_t tf_reload(const uint64_t *p) nogil

    void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset) nogil
    int munmap(void *address, size_t length) nogil
    int PROT_READ, PROT_WRITE, MAP_SHARED, MAP_POPULATE
    void *MAP_FAILED

cdef extern from "<time.h>" nogil:
    struct timespec:
        time_t tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec *time)

cdef enum:
    PAGE = 4096
    SLOTS_AT_MOST = 64
    SLOT_HEADER = 64

VERSION = 1
I420 = 1
NV12 = 2
PICTURE = 1
MISSING = 2
OPEN = 0
SUPERSEDED = 1
CLOSED = 2
INEXACT = 1
FULL_RANGE = 2
BT709 = 4
DEFAULT_RECORDS = 4096
MAX_SLOTS = 64
MAX_SIDE = 16384
HOLD_NS = 1_000_000_000

cdef bytes _MAGIC = b"TFPIXEL\0"
_F_SEAL_FUTURE_WRITE = 0x0010  # <linux/fcntl.h>; the fcntl module has no name for it
_SIZE_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_SEALS = fcntl.F_SEAL_SEAL | _SIZE_SEALS | _F_SEAL_FUTURE_WRITE

cdef int64_t _mapped = 0


def mapped_rings():
    """Mappings of rings that this process holds at present, both sides counted: for tests of leaks."""
    return _mapped


cdef uint64_t _round_up(uint64_t value, uint64_t unit) noexcept nogil:
    return (value + unit - 1) // unit * unit


cdef int _layout(tf_header *header) except -1:
    """Fills in strides and offsets from format, size and counts; the one place that knows the geometry."""
    cdef uint64_t chroma_width = (header.width + 1) // 2, chroma_height = (header.height + 1) // 2
    if header.format not in (I420, NV12):
        raise ValueError(f"picture format {header.format} is unknown")
    if not (1 <= header.width <= <uint32_t>MAX_SIDE and 1 <= header.height <= <uint32_t>MAX_SIDE):
        raise ValueError(f"{header.width}x{header.height} is no picture size: sides are 1 to {MAX_SIDE} pixels")
    if not 2 <= header.slots <= <uint32_t>MAX_SLOTS:
        raise ValueError(f"{header.slots} slots: a ring has 2 to {MAX_SLOTS}")
    if not header.slots <= header.records <= 1 << 20:
        raise ValueError(f"{header.records} records: at least one a slot, at most {1 << 20}")
    header.y_stride = <uint32_t>_round_up(header.width, 64)
    header.chroma_stride = <uint32_t>_round_up(chroma_width * (2 if header.format == NV12 else 1), 64)
    header.records_offset = PAGE
    header.slots_offset = PAGE + _round_up(<uint64_t>header.records * sizeof(tf_record), PAGE)
    header.u_offset = SLOT_HEADER + <uint64_t>header.y_stride * header.height
    if header.format == NV12:
        header.v_offset = header.u_offset + 1
        header.slot_stride = _round_up(header.u_offset + header.chroma_stride * chroma_height, PAGE)
    else:
        header.v_offset = header.u_offset + header.chroma_stride * chroma_height
        header.slot_stride = _round_up(header.v_offset + header.chroma_stride * chroma_height, PAGE)
    return 0


cdef uint64_t _size(tf_header *header) noexcept nogil:
    return header.slots_offset + header.slots * header.slot_stride


def ring_bytes(uint32_t width, uint32_t height, uint32_t slots, uint32_t records=DEFAULT_RECORDS, uint32_t layout=I420):
    """Memory that a ring of this shape takes, in bytes. Raises ValueError for a shape that no ring can have."""
    cdef tf_header header
    memset(&header, 0, sizeof(header))
    header.width, header.height, header.slots, header.records, header.format = width, height, slots, records, layout
    _layout(&header)
    return _size(&header)


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
        global _mapped
        cdef tf_header header
        cdef bytes name = camera.encode()
        cdef void *memory
        if self._base is not NULL:
            raise RuntimeError("a ring is set up once")
        if not 0 < len(name) < 64:
            raise ValueError(f"camera id of {len(name)} bytes: 1 to 63 fit")
        memset(&header, 0, sizeof(header))
        memcpy(header.magic, <const char *>_MAGIC, 8)
        memcpy(header.camera, <const char *>name, len(name))
        header.version, header.format, header.width, header.height = VERSION, layout, width, height
        header.slots, header.records, header.generation, header.session = slots, records, generation, session
        _layout(&header)
        self._bytes = _size(&header)
        self._pins = PinBoard(slots)
        self._hold_ns = hold_ns
        self.camera = camera
        self.fd = os.memfd_create(f"trueframe-pixels-{camera}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            # Reserved now: a machine out of memory says so here, and not by a SIGBUS in the middle of a picture.
            os.posix_fallocate(self.fd, 0, self._bytes)
            memory = mmap(NULL, self._bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, self.fd, 0)
            if memory == MAP_FAILED:
                raise OSError(f"cannot map {self._bytes} bytes for the pictures of {camera}")
            self._base = <uint8_t *>memory
            _mapped += 1
            self._header = <tf_header *>self._base
            memcpy(self._header, &header, sizeof(header))
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
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
        cdef timespec time
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
                clock_gettime(CLOCK_MONOTONIC, &time)
                now_ns = <int64_t>time.tv_sec * 1_000_000_000 + time.tv_nsec
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

    def write_picture(
        self, const uint8_t[::1] y, Py_ssize_t y_stride, const uint8_t[::1] u, Py_ssize_t u_stride,
        v, Py_ssize_t v_stride, *, int64_t epoch, int64_t seq, int64_t received_ns, int64_t monotonic_ns=0,
        uint16_t flags=0, int64_t floor=-1, int64_t now_ns=0,
    ):
        """Copies one picture into the next slot and tells of it. The GIL is released while bytes move.

        `u` holds interleaved chroma and `v` is None in an NV12 ring. `floor`: every seq of the epoch up to it has been
        told by now. `now_ns` is monotonic; 0 asks the system, if a pin makes it matter. Raises ValueError when a plane is smaller than the picture, or the ring is closed.
        """
        self._check_open()
        cdef tf_header *header = self._header
        cdef Py_ssize_t width = header.width, height = header.height
        cdef Py_ssize_t chroma_height = (height + 1) // 2
        cdef Py_ssize_t chroma_bytes = (width + 1) // 2 * (2 if header.format == NV12 else 1)
        cdef const uint8_t[::1] third
        cdef const uint8_t *v_start = NULL
        _check_plane(y.shape[0], y_stride, width, height)
        _check_plane(u.shape[0], u_stride, chroma_bytes, chroma_height)
        if header.format == I420:
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
        with nogil:
            slot = self._open_slot(now_ns)
            base = self._base + header.slots_offset + slot * header.slot_stride
            head = <tf_slot *>base
            head.epoch, head.seq, head.flags, head.record = epoch, seq, flags, self._head
            head.received_ns, head.monotonic_ns = received_ns, monotonic_ns
            _copy(base + SLOT_HEADER, header.y_stride, y_start, y_stride, width, height)
            _copy(base + header.u_offset, header.chroma_stride, u_start, u_stride, chroma_bytes, chroma_height)
            if v_start is not NULL:
                _copy(base + header.v_offset, header.chroma_stride, v_start, v_stride, chroma_bytes, chroma_height)
            self._pictures += 1
            self._number[slot], self._spared_ns[slot] = self._pictures, 0
            tf_store(&head.sequence, 2 * self._pictures)
            # Not earlier: who finds no claim finds the new number.
            tf_store(&self._header.claim, 0)
            record.kind, record.reason, record.flags, record.slot = PICTURE_, 0, flags, slot
            record.epoch, record.first_seq, record.last_seq = epoch, seq, seq
            record.received_ns, record.slot_sequence, record.floor = received_ns, 2 * self._pictures, floor
            self._append(&record)

    def write_missing(
        self, *, int64_t epoch, int64_t first_seq, int64_t last_seq, uint8_t reason, int64_t received_ns=0,
        int64_t floor=-1,
    ):
        """Tells that the frames first_seq to last_seq have no picture. Raises ValueError for an empty run."""
        self._check_open()
        if not 0 <= first_seq <= last_seq:
            raise ValueError(f"frames {first_seq} to {last_seq} are no run")
        cdef tf_record record
        record.kind, record.reason, record.flags, record.slot = MISSING_, reason, 0, 0
        record.epoch, record.first_seq, record.last_seq = epoch, first_seq, last_seq
        record.received_ns, record.slot_sequence, record.floor = received_ns, 0, floor
        self._append(&record)

    def set_state(self, uint32_t state):
        """Tells readers what follows the last record: OPEN, SUPERSEDED (another generation) or CLOSED."""
        self._check_open()
        if state > 2:
            raise ValueError(f"state {state} is unknown")
        tf_store32(&self._header.state, state)

    def close(self):
        """Unmaps and closes; readers keep what they have mapped and see the state CLOSED. May be called again."""
        global _mapped
        if self._base is not NULL:
            if tf_load32(&self._header.state) == OPEN_:
                tf_store32(&self._header.state, CLOSED_)
            munmap(self._base, self._bytes)
            self._base = NULL
            self._header = NULL
            self._pins = None
            _mapped -= 1
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __dealloc__(self):
        global _mapped
        if self._base is not NULL:
            munmap(self._base, self._bytes)
            _mapped -= 1
        if self.fd >= 0:
            os.close(self.fd)


cdef enum:
    PICTURE_ = 1
    MISSING_ = 2
    OPEN_ = 0
    CLOSED_ = 2


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


cdef class RingMapping:
    """A reader's view of one ring: read-only memory that lives as long as anything refers to it.

    Takes a duplicate of nothing: descriptors may be closed afterwards. `pins_fd` is the page for this reader's pins, if
    it has one. Exposes the whole memory by the buffer protocol, read-only. Raises ValueError when the descriptor is no ring, is not sealed, or has another size than its header.
    """

    cdef uint8_t *_base
    cdef tf_header *_shared
    cdef tf_header _header
    cdef uint64_t _bytes
    cdef PinHand _hand

    def __init__(self, int fd, int pins_fd=-1):
        global _mapped
        cdef tf_header expected
        cdef void *memory
        if self._base is not NULL:
            raise RuntimeError("a mapping is set up once")
        try:
            seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        except OSError as error:
            raise ValueError("not a picture ring: the descriptor cannot be sealed") from error
        if seals & _SIZE_SEALS != _SIZE_SEALS:
            raise ValueError("not a picture ring: its size is not sealed, so that reading could fault")
        size = os.fstat(fd).st_size
        if size < PAGE:
            raise ValueError(f"not a picture ring: {size} bytes")
        self._bytes = size
        memory = mmap(NULL, self._bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0)
        if memory == MAP_FAILED:
            raise OSError(f"cannot map {size} bytes of a picture ring")
        self._base = <uint8_t *>memory
        _mapped += 1
        self._shared = <tf_header *>self._base
        # A private copy: geometry that was checked cannot change afterwards.
        memcpy(&self._header, self._shared, sizeof(tf_header))
        if self._header.magic[:8] != _MAGIC:
            raise ValueError("not a picture ring: wrong magic number")
        if self._header.version != <uint32_t>VERSION:
            raise ValueError(f"picture ring of version {self._header.version}: this reader knows {VERSION}")
        memcpy(&expected, &self._header, sizeof(tf_header))
        _layout(&expected)
        if (
            expected.y_stride != self._header.y_stride or expected.chroma_stride != self._header.chroma_stride
            or expected.records_offset != self._header.records_offset or expected.u_offset != self._header.u_offset
            or expected.v_offset != self._header.v_offset or expected.slots_offset != self._header.slots_offset
            or expected.slot_stride != self._header.slot_stride or _size(&expected) != self._bytes
        ):
            raise ValueError(f"picture ring of {size} bytes: its header describes {_size(&expected)}")
        if pins_fd >= 0:
            self._hand = PinHand(pins_fd, self._header.slots)

    def __dealloc__(self):
        global _mapped
        if self._base is not NULL:
            munmap(self._base, self._bytes)
            _mapped -= 1

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

    @property
    def pins(self):
        """Pictures held at present."""
        return 0 if self._hand is None else self._hand.held

    def monotonic_ns(self, uint32_t slot):
        """The broker's monotonic time of the picture in the slot; believe it only if `is_whole` afterwards."""
        return self._slot(slot).monotonic_ns

    def planes(self, uint32_t slot):
        """Views of a slot: (y, u, v), read-only uint8 arrays that keep the memory mapped."""
        self._slot(slot)
        cdef tf_header *header = &self._header
        start = header.slots_offset + slot * header.slot_stride
        chroma = ((header.height + 1) // 2, (header.width + 1) // 2)
        strides = (header.chroma_stride, 2 if header.format == NV12 else 1)
        return (
            np.ndarray((header.height, header.width), np.uint8, self, start + SLOT_HEADER, (header.y_stride, 1)),
            np.ndarray(chroma, np.uint8, self, start + header.u_offset, strides),
            np.ndarray(chroma, np.uint8, self, start + header.v_offset, strides),
        )
