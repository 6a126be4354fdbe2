"""RTP over UDP: drains a socket into a depacketiser, many datagrams per system call.

What belongs here: recvmmsg, the check of who sent a datagram, the time of a read. What does not: opening sockets
(`broker.rtsp.udp`), sequence numbers and reordering (the depacketiser). No Python object is made per datagram, and
everything that comes is bounded and counted; nothing that anybody sends raises.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy, memset

from broker.core.depacketiser cimport Depacketiser


cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    ctypedef unsigned short sa_family_t
    struct iovec:
        void* iov_base
        size_t iov_len
    struct msghdr:
        void* msg_name
        socklen_t msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        int msg_flags
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    struct sockaddr_storage:
        sa_family_t ss_family
    int recvmmsg(int fd, mmsghdr* messages, unsigned int count, int flags, void* timeout)
    int AF_INET
    int AF_INET6
    int MSG_DONTWAIT
    int MSG_TRUNC

cdef extern from "<netinet/in.h>" nogil:
    struct in_addr:
        uint32_t s_addr
    struct sockaddr_in:
        uint16_t sin_port
        in_addr sin_addr
    struct in6_addr:
        uint8_t s6_addr[16]
    struct sockaddr_in6:
        uint16_t sin6_port
        in6_addr sin6_addr
    uint16_t ntohs(uint16_t value)


cdef enum:
    BATCH = 32
    # The longest datagram, and a little more: slots exactly 64 KiB apart would all want the same lines of the cache.
    SLOT = 65536 + 704
    # One camera's flood must not keep the loop from the others.
    MAX_BATCHES = 16
    MAX_ADDRESSES = 4


# One for all sockets: a drain runs to its end while it holds the interpreter, and pages that no datagram ever reached
# cost nothing.
cdef uint8_t slots[BATCH][SLOT]
cdef sockaddr_storage names[BATCH]
cdef iovec vectors[BATCH]
cdef mmsghdr headers[BATCH]


cdef class DatagramReader:
    """Reads one RTP socket. `addresses`: who may send, as packed addresses (4 or 16 bytes), at most four.

    The first datagram from one of them that looks like RTP of `payload_type` decides the port; from then on nobody
    else is heard, and `peer_port` names it, so that the socket can be connected.
    """

    cdef int _fd
    cdef Depacketiser _depacketiser
    cdef uint8_t _addresses[MAX_ADDRESSES][16]
    cdef int _lengths[MAX_ADDRESSES]
    cdef int _count
    cdef int _payload_type
    cdef int _port
    cdef readonly bytes peer_address
    cdef readonly int64_t datagrams
    cdef readonly int64_t foreign_datagrams
    cdef readonly int64_t truncated_datagrams
    cdef readonly int64_t reads
    cdef readonly bint has_more

    def __cinit__(self, int fd, Depacketiser depacketiser not None, list addresses, int payload_type=-1):
        cdef bytes address
        if not 0 < len(addresses) <= MAX_ADDRESSES:
            raise ValueError(f"one to {MAX_ADDRESSES} addresses may send")
        for address in addresses:
            if len(address) not in (4, 16):
                raise ValueError("a packed address has 4 or 16 bytes")
            memcpy(&self._addresses[self._count][0], <const char*> address, len(address))
            self._lengths[self._count] = len(address)
            self._count += 1
        self._fd = fd
        self._depacketiser = depacketiser
        self._payload_type = payload_type

    @property
    def peer_port(self):
        """The port that RTP comes from; 0 before the first datagram."""
        return self._port

    def drain(self, now):
        """Reads what is there; returns the units that it completed.

        `now()` gives monotonic nanoseconds and is called right after each read. Of what one camera floods, it takes 512
        datagrams; `has_more` says whether more may be there. A socket that is of no use gives nothing.
        """
        cdef list units = []
        cdef int i, count, batch
        cdef int64_t now_ns
        self.has_more = False
        for batch in range(MAX_BATCHES):
            for i in range(BATCH):
                vectors[i].iov_base = &slots[i][0]
                vectors[i].iov_len = SLOT
                memset(&headers[i], 0, sizeof(mmsghdr))
                headers[i].msg_hdr.msg_name = &names[i]
                headers[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage)
                headers[i].msg_hdr.msg_iov = &vectors[i]
                headers[i].msg_hdr.msg_iovlen = 1
            count = recvmmsg(self._fd, headers, BATCH, MSG_DONTWAIT, NULL)
            if count < 0:
                if errno == EINTR:
                    continue
                break  # Nothing more, or an ICMP message that answers a packet of ours: neither is of interest.
            now_ns = now()
            self.reads += 1
            for i in range(count):
                self._take(i, now_ns, units)
            if count < BATCH:
                return units
        else:
            self.has_more = True
        return units

    cdef int _take(self, int i, int64_t now_ns, list units) except -1:
        cdef const uint8_t* packet = &slots[i][0]
        cdef Py_ssize_t size = headers[i].msg_len
        cdef int port = self._sender(i)
        if port < 0 or (self._port and port != self._port):
            self.foreign_datagrams += 1
            return 0
        if headers[i].msg_hdr.msg_flags & MSG_TRUNC:
            self.truncated_datagrams += 1
            return 0
        # RTCP on the port of RTP would be taken for RTP with a senseless sequence number.
        if size < 12 or packet[0] >> 6 != 2 or 200 <= packet[1] <= 207:
            self.foreign_datagrams += 1
            return 0
        if not self._port:
            if self._payload_type >= 0 and (packet[1] & 0x7F) != self._payload_type:
                self.foreign_datagrams += 1
                return 0
            self._port = port
            self.peer_address = _address(i)
        self.datagrams += 1
        self._depacketiser.push(packet, size, now_ns, units)
        return 0

    cdef int _sender(self, int i) except -2:
        """The sender's port; -1 for one that may not send."""
        cdef const uint8_t* address
        cdef int length, port, k
        cdef sockaddr_storage* name = &names[i]
        if headers[i].msg_hdr.msg_namelen == 0:
            return -1
        if name.ss_family == AF_INET:
            address = <const uint8_t*> &(<sockaddr_in*> name).sin_addr.s_addr
            length = 4
            port = ntohs((<sockaddr_in*> name).sin_port)
        elif name.ss_family == AF_INET6:
            address = &(<sockaddr_in6*> name).sin6_addr.s6_addr[0]
            length = 16
            port = ntohs((<sockaddr_in6*> name).sin6_port)
        else:
            return -1
        for k in range(self._count):
            if self._lengths[k] == length and memcmp(&self._addresses[k][0], address, length) == 0:
                return port
        return -1


cdef bytes _address(int i):
    cdef sockaddr_storage* name = &names[i]
    if name.ss_family == AF_INET:
        return PyBytes_FromStringAndSize(<const char*> &(<sockaddr_in*> name).sin_addr.s_addr, 4)
    return PyBytes_FromStringAndSize(<const char*> &(<sockaddr_in6*> name).sin6_addr.s6_addr[0], 16)
