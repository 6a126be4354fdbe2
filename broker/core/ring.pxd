from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t

cdef enum:
    KIND_FRAME = 1
    KIND_GAP = 2
    KIND_STARTED = 3
    KIND_ENDED = 4

cdef struct Entry:
    PyObject* item
    Py_ssize_t size
    int64_t epoch
    int64_t seq
    int64_t received_ns
    int64_t monotonic_ns
    # What the ring had taken before this entry, over all epochs: positions that survive eviction. The bytes are those
    # of all items, and those of exact join points alone.
    int64_t frames_before
    int64_t exact_before
    int64_t bytes_before
    int64_t exact_bytes_before
    # Of a gap: how many frames, -1 if unknown.
    int64_t count
    int reason
    uint8_t kind
    # Whether decoding can begin here; whether it says JOIN_POINT_EXACT, damaged or not.
    bint joins
    bint exact

cdef int call_all(list to_wake) except -1

cdef class Epoch:
    cdef readonly int64_t number
    cdef readonly int64_t first_ordinal
    cdef readonly int64_t frames
    cdef readonly bint ended
    cdef readonly bytes started

cdef class RingReader:
    cdef PacketRing ring
    cdef int64_t next_index
    cdef int64_t next_ordinal

    cdef int appended(self, list to_wake) except -1
    cdef int gap_evicted(self, int reason, int64_t count) except -1

cdef class Account:
    cdef readonly int64_t used_bytes
    # What an item costs beside its bytes: small ones would fill the memory unseen.
    cdef int64_t item_cost

cdef class PacketRing:
    cdef readonly str camera
    cdef readonly Py_ssize_t max_bytes
    cdef readonly int64_t max_ns
    cdef readonly Py_ssize_t max_items
    cdef Entry* entries
    cdef Py_ssize_t capacity
    cdef int64_t first
    cdef int64_t end
    cdef list epochs
    cdef bint epochs_forgotten
    cdef list readers
    cdef int64_t newest_ns
    cdef int64_t newest_monotonic_ns
    # Index of the newest entry at which decoding can begin, and of the newest that is exact; -1 before the first. They
    # may have been evicted.
    cdef int64_t newest_join
    cdef int64_t newest_exact
    cdef int64_t taken_bytes
    cdef int64_t exact_frames
    cdef int64_t exact_bytes
    cdef Account account
    cdef int64_t evicted_gap_ordinal
    cdef int evicted_gap_reason
    cdef readonly Py_ssize_t bytes
    cdef readonly int64_t frames
    cdef readonly int64_t evicted_frames
    cdef readonly int64_t evicted_items

    cdef Entry* at(self, int64_t index) noexcept
    cdef int64_t behind(self, int64_t ordinal) noexcept
    cdef int64_t oldest_join(self) noexcept
    cdef int64_t oldest_exact(self) noexcept
    cdef Epoch epoch(self, int64_t number)
    cdef int append(self, Entry* entry, object item, list to_wake) except -1
    cdef int evict_one(self) except -1
    cdef int evict_group(self) except -1
    cdef int leave_account(self) except -1
    cdef int64_t cost(self) noexcept
    cdef int grow(self) except -1
    cdef list take_frame(
        self, int64_t epoch, int64_t seq, int64_t received_ns, int64_t monotonic_ns, int join_point, bint damaged,
        bytes item,
    )
    cdef Epoch _open_epoch(self, int64_t number, bytes started)
