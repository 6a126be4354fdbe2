from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <limits.h>
    #include <linux/futex.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>

    #define TF_PAGE 4096u

    typedef struct {
        char magic[8];
        uint32_t version, format, width, height, y_stride, chroma_stride, slots, records;
        uint64_t records_offset, slots_offset, slot_stride, u_offset, v_offset, generation, session;
        char camera[64];
        char padding[256 - 8 - 8 * 4 - 7 * 8 - 64];
        uint64_t head;   /* records that are complete; a cache line of its own */
        uint32_t state;
        uint32_t wake;   /* one more with each piece of news: readers sleep on it (futex) */
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
        uint64_t record;
        int64_t published_ns;  /* CLOCK_MONOTONIC when the picture was whole */
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
    /* Tells sleepers that there is news; the writer's own look at who sleeps (pins.pxd) comes behind a full fence. */
    static inline void tf_news(uint32_t *p) {
        __atomic_store_n(p, *p + 1, __ATOMIC_RELEASE);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    /* Both work on read-only mappings of a shared file. Not FUTEX_PRIVATE: the sleepers are other processes. */
    static inline void tf_futex_wake(const uint32_t *p) { syscall(SYS_futex, p, FUTEX_WAKE, INT_MAX, NULL, NULL, 0); }
    static inline int64_t tf_monotonic_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }
    static inline void tf_futex_wait(const uint32_t *p, uint32_t seen, int64_t timeout_ns) {
        struct timespec left = {timeout_ns / 1000000000, timeout_ns % 1000000000};
        syscall(SYS_futex, p, FUTEX_WAIT, seen, &left, NULL, 0);
    }
    """
    ctypedef struct tf_header:
        char magic[8]
        uint32_t version, format, width, height, y_stride, chroma_stride, slots, records
        uint64_t records_offset, slots_offset, slot_stride, u_offset, v_offset, generation, session
        char camera[64]
        uint64_t head
        uint32_t state, wake
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
        int64_t published_ns

    uint64_t tf_load(const uint64_t *p) nogil
    void tf_store(uint64_t *p, uint64_t v) nogil
    uint32_t tf_load32(const uint32_t *p) nogil
    void tf_store32(uint32_t *p, uint32_t v) nogil
    void tf_open(uint64_t *p, uint64_t v) nogil
    uint64_t tf_reload(const uint64_t *p) nogil
    void tf_news(uint32_t *p) nogil
    int64_t tf_monotonic_ns() nogil
    void tf_futex_wake(const uint32_t *p) nogil
    void tf_futex_wait(const uint32_t *p, uint32_t seen, int64_t timeout_ns) nogil

cdef enum:
    PAGE_BYTES = 4096
    SLOT_HEADER_BYTES = 64
    SLOTS_AT_MOST = 64
    # As the Python constants without `_`.
    I420_ = 1
    NV12_ = 2
    PICTURE_ = 1
    MISSING_ = 2
    OPEN_ = 0
    CLOSED_ = 2

# Fills in strides and offsets from format, size and counts. Raises ValueError for a shape that no ring can have.
cdef int fill_geometry(tf_header *header) except -1
cdef uint64_t bytes_of(tf_header *header) noexcept nogil
# Maps a ring with all its pages present. Raises OSError. `unmap_ring` takes NULL too.
cdef uint8_t *map_ring(int fd, uint64_t size_bytes, bint is_writer) except NULL
cdef void unmap_ring(uint8_t *base, uint64_t size_bytes) noexcept
