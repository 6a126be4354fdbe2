"""Quantised blocks into a baseline JPEG scan: Huffman codes, byte stuffing, restart markers (ITU-T T.81, Annex F).

What belongs here: the loop over coefficients. What does not: which codes there are, transform and headers (`jpeg`).
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc


cdef struct Writer:
    uint8_t* out
    Py_ssize_t size
    uint64_t bits
    int count


cdef inline void put(Writer* w, uint32_t code, int length) noexcept nogil:
    cdef uint8_t byte
    w.bits = (w.bits << length) | code
    w.count += length
    while w.count >= 8:
        w.count -= 8
        byte = (w.bits >> w.count) & 0xFF
        w.out[w.size] = byte
        w.size += 1
        if byte == 0xFF:
            w.out[w.size] = 0
            w.size += 1


cdef inline void flush(Writer* w) noexcept nogil:
    """Fills the last byte with ones."""
    if w.count:
        put(w, (1 << (8 - w.count)) - 1, 8 - w.count)
    w.bits = 0


cdef inline int magnitude(int value) noexcept nogil:
    cdef int bits = 0
    if value < 0:
        value = -value
    while value:
        bits += 1
        value >>= 1
    return bits


cdef inline void put_value(Writer* w, int value, int bits) noexcept nogil:
    if bits:
        put(w, <uint32_t> (value if value > 0 else value + (1 << bits) - 1), bits)


def scan(const int16_t[:, ::1] blocks not None, bytes pattern not None, const uint16_t[:, ::1] codes not None,
         const uint8_t[:, ::1] lengths not None, int restart=0):
    """The entropy-coded data of a picture, without a marker at its end.

    `blocks` are n x 64 quantised coefficients in zigzag order, in the order of the scan; `pattern` names the component
    (0, 1, 2) of every block of an MCU. `codes` and `lengths` are 4 x 256: luma DC, luma AC, chroma DC, chroma AC, by
    symbol. `restart` is the restart interval in MCUs, 0 for none. Raises ValueError for shapes or values that do not fit.
    """
    cdef Py_ssize_t total = blocks.shape[0]
    cdef Py_ssize_t per_mcu = len(pattern)
    if blocks.shape[1] != 64 or per_mcu == 0 or total % per_mcu:
        raise ValueError("blocks are n x 64, and n is a multiple of the blocks in an MCU")
    if codes.shape[0] != 4 or codes.shape[1] != 256 or lengths.shape[0] != 4 or lengths.shape[1] != 256:
        raise ValueError("codes and lengths are 4 x 256")
    if any(component > 2 for component in pattern):
        raise ValueError("the pattern names components 0, 1 and 2")
    cdef Py_ssize_t row, column
    for row in range(total):
        for column in range(64):
            if not -1023 <= blocks[row, column] <= 1023:
                raise ValueError("coefficients of baseline JPEG are -1023 to 1023")
    # A coefficient takes at most 16 + 11 bits, and stuffing at most doubles them.
    cdef uint8_t* room = <uint8_t*> malloc(total * 64 * 8 + 1024)
    if room == NULL:
        raise MemoryError("no room for a JPEG scan")
    cdef const uint8_t* components = pattern
    cdef Writer w
    w.out, w.size, w.bits, w.count = room, 0, 0, 0
    cdef int before[3]
    before[0] = before[1] = before[2] = 0
    cdef Py_ssize_t i, k, mcu
    cdef int run, bits, value, component, table, marker = 0
    try:
        with nogil:
            for i in range(total):
                mcu = i // per_mcu
                if restart and i % per_mcu == 0 and mcu and mcu % restart == 0:
                    flush(&w)
                    w.out[w.size] = 0xFF
                    w.out[w.size + 1] = 0xD0 + marker
                    w.size += 2
                    marker = (marker + 1) & 7
                    before[0] = before[1] = before[2] = 0
                component = components[i % per_mcu]
                table = 2 if component else 0
                value = blocks[i, 0] - before[component]
                before[component] = blocks[i, 0]
                bits = magnitude(value)
                put(&w, codes[table, bits], lengths[table, bits])
                put_value(&w, value, bits)
                run = 0
                for k in range(1, 64):
                    value = blocks[i, k]
                    if value == 0:
                        run += 1
                        continue
                    while run > 15:
                        put(&w, codes[table + 1, 0xF0], lengths[table + 1, 0xF0])
                        run -= 16
                    bits = magnitude(value)
                    put(&w, codes[table + 1, run << 4 | bits], lengths[table + 1, run << 4 | bits])
                    put_value(&w, value, bits)
                    run = 0
                if run:
                    put(&w, codes[table + 1, 0], lengths[table + 1, 0])
            flush(&w)
        return PyBytes_FromStringAndSize(<char*> room, w.size)
    finally:
        free(room)
