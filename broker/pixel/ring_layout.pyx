"""How a picture ring lies in memory: one header page, a log of records, slots with planes.

Here: the layout's constants, its geometry, mapping it. The structures and the atomic operations on them stand in
ring_layout.pxd. Not here: writing (ring_writer.pyx), reading (ring_mapping.pyx), pins (pins.pyx).
docs/design/0007-pixels.md draws the layout and says why.

One writer, any number of readers. The writer waits for nobody: it overwrites the oldest record, and of the slots the
oldest that no reader has pinned, or whose pins have had their time. A slot and a record each carry a sequence number
that is odd while they are written (a seqlock), so a reader notices afterwards whether what it used was whole. Readers
map read-only; the seals keep them from anything else, and keep the size fixed so that a reader cannot be made to fault.
"""

from libc.string cimport memset

import fcntl

cdef extern from "<sys/mman.h>" nogil:
    void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t length)
    int PROT_READ, PROT_WRITE, MAP_SHARED, MAP_POPULATE
    void *MAP_FAILED

VERSION = 2
MAGIC = b"TFPIXEL\0"
I420 = I420_
NV12 = NV12_
PICTURE = PICTURE_
MISSING = MISSING_
OPEN = OPEN_
SUPERSEDED = 1
CLOSED = CLOSED_
INEXACT = 1
FULL_RANGE = 2
BT709 = 4
DEFAULT_RECORDS = 4096
MAX_SLOTS = SLOTS_AT_MOST
MAX_SIDE = 16384
HOLD_NS = 1_000_000_000

_F_SEAL_FUTURE_WRITE = 0x0010  # <linux/fcntl.h>; the fcntl module has no name for it
SIZE_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
SEALS = fcntl.F_SEAL_SEAL | SIZE_SEALS | _F_SEAL_FUTURE_WRITE

cdef int64_t _mapped = 0


def mapped_rings():
    """Mappings of rings that this process holds at present, both sides counted: for tests of leaks."""
    return _mapped


def ring_bytes(uint32_t width, uint32_t height, uint32_t slots, uint32_t records=DEFAULT_RECORDS, uint32_t layout=I420):
    """Memory that a ring of this shape takes, in bytes. Raises ValueError for a shape that no ring can have."""
    cdef tf_header header
    memset(&header, 0, sizeof(header))
    header.width, header.height, header.slots, header.records, header.format = width, height, slots, records, layout
    fill_geometry(&header)
    return bytes_of(&header)


cdef uint64_t _round_up(uint64_t value, uint64_t unit) noexcept nogil:
    return (value + unit - 1) // unit * unit


cdef int fill_geometry(tf_header *header) except -1:
    cdef uint64_t chroma_width = (header.width + 1) // 2, chroma_height = (header.height + 1) // 2
    if header.format not in (I420, NV12):
        raise ValueError(f"picture format {header.format} is unknown")
    if not (1 <= header.width <= <uint32_t>MAX_SIDE and 1 <= header.height <= <uint32_t>MAX_SIDE):
        raise ValueError(f"{header.width}x{header.height} is no picture size: sides are 1 to {MAX_SIDE} pixels")
    if not 2 <= header.slots <= SLOTS_AT_MOST:
        raise ValueError(f"{header.slots} slots: a ring has 2 to {MAX_SLOTS}")
    if not header.slots <= header.records <= 1 << 20:
        raise ValueError(f"{header.records} records: at least one a slot, at most {1 << 20}")
    header.y_stride = <uint32_t>_round_up(header.width, 64)
    header.chroma_stride = <uint32_t>_round_up(chroma_width * (2 if header.format == NV12_ else 1), 64)
    header.records_offset = PAGE_BYTES
    header.slots_offset = PAGE_BYTES + _round_up(<uint64_t>header.records * sizeof(tf_record), PAGE_BYTES)
    header.u_offset = SLOT_HEADER_BYTES + <uint64_t>header.y_stride * header.height
    if header.format == NV12_:
        header.v_offset = header.u_offset + 1
        header.slot_stride = _round_up(header.u_offset + header.chroma_stride * chroma_height, PAGE_BYTES)
    else:
        header.v_offset = header.u_offset + header.chroma_stride * chroma_height
        header.slot_stride = _round_up(header.v_offset + header.chroma_stride * chroma_height, PAGE_BYTES)
    return 0


cdef uint64_t bytes_of(tf_header *header) noexcept nogil:
    return header.slots_offset + header.slots * header.slot_stride


cdef uint8_t *map_ring(int fd, uint64_t size_bytes, bint is_writer) except NULL:
    global _mapped
    # Populated: without, every first touch of a page is a fault in the middle of a picture (FACTS 2).
    cdef int protection = PROT_READ | PROT_WRITE if is_writer else PROT_READ
    cdef void *memory = mmap(NULL, size_bytes, protection, MAP_SHARED | MAP_POPULATE, fd, 0)
    if memory == MAP_FAILED:
        raise OSError(f"cannot map {size_bytes} bytes of a picture ring")
    _mapped += 1
    return <uint8_t *>memory


cdef void unmap_ring(uint8_t *base, uint64_t size_bytes) noexcept:
    global _mapped
    if base is not NULL:
        munmap(base, size_bytes)
        _mapped -= 1
