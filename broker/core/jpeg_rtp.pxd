from libc.stdint cimport uint8_t, uint32_t

from broker.core.depacketiser cimport Depacketiser

cdef class JpegDepacketiser(Depacketiser):
    # Of the picture in progress: what every one of its packets repeats, and how much of the scan is there.
    cdef int _kind
    cdef int _quality
    cdef int _width_blocks
    cdef int _height_blocks
    cdef int _interval
    cdef Py_ssize_t _scan_bytes
    # Told outside RTP, for pictures too large for its fields.
    cdef int _told_width
    cdef int _told_height
    # Quality → precision byte and tables, for packets that name tables sent before; of one source.
    cdef dict _tables
    cdef uint32_t _tables_source

    # Header segments of the packet in hand, from ONVIF's header extension; NULL if it has none.
    cdef const uint8_t* _segments
    cdef Py_ssize_t _segments_size

    cdef int _begin_picture(self, const uint8_t* tables, Py_ssize_t size, int precision) except -1
    cdef int _begin_extended(self, const uint8_t* header, Py_ssize_t size, const uint8_t* frame) except -1
    cdef int _take_part(self, const uint8_t* payload, Py_ssize_t size) except -1
    cdef int _bad_payload(self) except -1
