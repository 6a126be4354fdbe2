from libc.stdint cimport uint8_t, uint32_t

from broker.core.nal_rtp cimport NalDepacketiser

cdef class H264Depacketiser(NalDepacketiser):
    # By number: the sets that the stream has shown.
    cdef uint32_t _sps_shown
    cdef uint8_t _pps_shown[256]

    cdef int _note_set(self, int kind, const uint8_t* nal, Py_ssize_t size) noexcept
