from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>

    /* Either the writer's look at the pins sees this pin, or the reader's look at the writer's claim sees that: one full
       fence on each side, between the own store and the look. The writer's is in tf_open of ring_layout.pxd; sleeping
       and news go by the same rule. */
    static inline void tf_set_pin(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST);
                                                             __atomic_thread_fence(__ATOMIC_SEQ_CST); }
    /* All reads of the picture come before it. */
    static inline void tf_clear_pin(uint64_t *p) { __atomic_store_n(p, (uint64_t)0, __ATOMIC_RELEASE); }
    static inline uint64_t tf_load_pin(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline uint64_t tf_pin_word(uint32_t slot, uint64_t sequence) { return sequence * 64 + slot; }
    """
    void tf_set_pin(uint64_t *p, uint64_t v) nogil
    void tf_clear_pin(uint64_t *p) nogil
    uint64_t tf_load_pin(const uint64_t *p) nogil
    uint64_t pin_word "tf_pin_word"(uint32_t slot, uint64_t sequence) nogil


cdef enum:
    # What the first word of a page says; anything else means that the reader is awake.
    SLEEPS_ON_RING = 1
    SLEEPS_IN_POLL = 2


cdef class PinRow:
    # The host's read-only view of one reader's page.
    cdef const uint64_t *asleep
    cdef const uint64_t *entries
    cdef readonly int fd


cdef class PinBoard:
    # The rows that the writer of one ring looks at. `entries` is a C array of the pages in `rows`, for use without GIL.
    cdef list rows
    cdef const uint64_t **entries
    cdef uint32_t count, capacity
    cdef uint32_t honoured

    cdef bint holds(self, uint32_t slot, uint64_t sequence) noexcept nogil
    # All readers' states, or-ed together.
    cdef uint32_t sleepers(self) noexcept nogil


cdef class PinHand:
    # The reader's own view: only this reader writes here.
    cdef uint64_t *asleep
    cdef uint64_t *entries
    cdef uint32_t usable
    cdef uint32_t counts[31]

    cdef void tell(self, uint64_t state) noexcept nogil
    cdef bint take(self, uint32_t slot, uint64_t sequence) noexcept
    cdef void drop(self, uint32_t slot, uint64_t sequence) noexcept
