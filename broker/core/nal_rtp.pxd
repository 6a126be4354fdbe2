from libc.stdint cimport uint8_t

from broker.core.depacketiser cimport Depacketiser

# How a codec writes the header of a NAL, and which types say that a payload is not one NAL.
cdef struct NalFormat:
    int header_size
    # The type of a NAL is `(header[0] >> kind_shift) & kind_mask`, that of a fragment its own header's `kind_mask`.
    int kind_shift
    int kind_mask
    # What a fragment's payload header has in common with the NAL's.
    int kept_bits
    int first_kind
    int last_kind
    int aggregate
    int fragment

cdef class NalDepacketiser(Depacketiser):
    # Set by subclasses, once.
    cdef NalFormat _format
    # An access unit delimiter was seen: then every unit begins with one.
    cdef bint _is_delimited
    # Type of the NAL whose pieces are coming.
    cdef int _fragment_kind

    # Takes a NAL, or its first piece; `body` is what follows the header.
    cdef int _begin_nal(self, const uint8_t* header, const uint8_t* body, Py_ssize_t size) except -1

    cdef int _take_aggregate(self, const uint8_t* payload, Py_ssize_t size) except -1
    cdef int _take_fragment(self, const uint8_t* payload, Py_ssize_t size) except -1
    cdef int _note_malformed(self) except -1
