from libc.stdint cimport uint8_t, uint32_t, uint64_t

from broker.core.nal_rtp cimport NalDepacketiser

cdef class H265Depacketiser(NalDepacketiser):
    # By number, a bit each: the sets that the stream has shown.
    cdef uint32_t _vps_shown
    cdef uint32_t _sps_shown
    cdef uint64_t _pps_shown

    cdef int _note_set(self, int kind, const uint8_t* nal, Py_ssize_t size) noexcept
