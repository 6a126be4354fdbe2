# The header of an RTP packet (RFC 3550, 5.1), and the time in its ONVIF extension.
#
# What belongs here: one packet by itself. What does not: what its number says beside those of others (`depacketiser`).

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

cdef enum:
    RTP_HEADER_SIZE = 12
    ONVIF_EXTENSION = 0xABAC

cdef struct RtpPacket:
    uint16_t sequence
    uint32_t timestamp
    uint32_t ssrc
    int payload_type
    bint marker
    const uint8_t* payload
    Py_ssize_t payload_size
    # NULL if there is none. Its length was checked.
    const uint8_t* extension


cdef inline uint32_t read_u32(const uint8_t* data) noexcept nogil:
    return (
        (<uint32_t> data[0] << 24) | (<uint32_t> data[1] << 16) | (<uint32_t> data[2] << 8) | <uint32_t> data[3]
    )


cdef inline bint is_rtp(const uint8_t* packet, Py_ssize_t size) noexcept nogil:
    """Whether a header is there that can be read; what it says may still not fit the packet."""
    return size >= RTP_HEADER_SIZE and packet[0] >> 6 == 2


cdef inline uint16_t sequence_of(const uint8_t* packet) noexcept nogil:
    return (<uint16_t> packet[2] << 8) | packet[3]


cdef inline uint32_t ssrc_of(const uint8_t* packet) noexcept nogil:
    return read_u32(packet + 8)


cdef inline int payload_type_of(const uint8_t* packet) noexcept nogil:
    return packet[1] & 0x7F


cdef inline bint read_rtp(const uint8_t* packet, Py_ssize_t size, RtpPacket* rtp) noexcept nogil:
    """False if the packet is malformed."""
    cdef Py_ssize_t at, padding = 0
    if not is_rtp(packet, size):
        return False
    at = RTP_HEADER_SIZE + 4 * (packet[0] & 0x0F)
    rtp.extension = NULL
    if packet[0] & 0x10:
        if at + 4 > size:
            return False
        rtp.extension = packet + at
        at += 4 + 4 * ((<Py_ssize_t> packet[at + 2] << 8) | packet[at + 3])
    if packet[0] & 0x20:
        padding = packet[size - 1]
        if padding == 0:
            return False
    if at > size or padding > size - at:
        return False
    rtp.sequence = sequence_of(packet)
    rtp.timestamp = read_u32(packet + 4)
    rtp.ssrc = ssrc_of(packet)
    rtp.payload_type = payload_type_of(packet)
    rtp.marker = packet[1] >> 7
    rtp.payload = packet + at
    rtp.payload_size = size - at - padding
    return True


cdef inline bint is_onvif_time(const uint8_t* extension) noexcept nogil:
    """Whether it is ONVIF's replay extension (streaming specification, 6.3), long enough for a time and flags."""
    return (
        ((<int> extension[0] << 8) | extension[1]) == ONVIF_EXTENSION
        and ((<int> extension[2] << 8) | extension[3]) >= 3
    )


cdef inline bint read_ntp(const uint8_t* ntp, int64_t* utc_ns) noexcept nogil:
    """Nanoseconds of UTC of an NTP timestamp, in the era that is nearest to now; False if it says none."""
    # From 1900, where NTP counts from, to 1970; and the length of an era, after which its seconds begin anew (2036).
    cdef int64_t ntp_to_unix_s = 2208988800, era_s = <int64_t> 1 << 32
    cdef int64_t seconds = read_u32(ntp), fraction = read_u32(ntp + 4)
    if seconds == 0 and fraction == 0:
        return False
    if seconds < era_s // 2:
        seconds += era_s
    utc_ns[0] = (seconds - ntp_to_unix_s) * 1000000000 + ((fraction * 1000000000 + (<int64_t> 1 << 31)) >> 32)
    return True
