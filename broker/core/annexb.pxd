from libc.stdint cimport uint8_t

cdef const uint8_t* find_start_code(const uint8_t* begin, const uint8_t* end) noexcept nogil
cdef const uint8_t* find_short_start_code(const uint8_t* begin, const uint8_t* end) noexcept nogil
cdef const uint8_t* end_of_nal(const uint8_t* begin, const uint8_t* end, bint* glued) noexcept nogil
