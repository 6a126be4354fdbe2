"""Exact area averaging and colour conversion in integers: the same bytes on every machine.

Here: I420/NV12 planes to smaller luma or RGB24. Not here: when to scale (thumbnails.py), file formats (png.py).

Every output pixel is the mean of the source area it covers, with the exact rational weights of that area, rounded
half up once. Chroma is averaged from its own plane over the same area (siting is not shifted). The conversion to RGB
uses 16-bit fixed-point coefficients of BT.601 or BT.709. No rounding of floating point, no library that may differ by
version: the one quotient of doubles is exact, as said there.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import numpy as np

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>

    /* Clones for wider vectors are chosen at load; their results are equal, being integers. The sanitizer's start-up
       does not survive ifunc resolvers, so its build has the plain form only. */
    #if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
    #define TF_CLONES __attribute__((target_clones("avx2", "default")))
    #else
    #define TF_CLONES
    #endif

    TF_CLONES static void tf_set_row(uint32_t *sum, const uint8_t *row, ptrdiff_t step, size_t n, uint32_t weight) {
        if (step == 1) for (size_t i = 0; i < n; i++) sum[i] = weight * row[i];
        else for (size_t i = 0; i < n; i++) sum[i] = weight * row[(ptrdiff_t)i * step];
    }
    TF_CLONES static void tf_add_row(uint32_t *sum, const uint8_t *row, ptrdiff_t step, size_t n, uint32_t weight) {
        if (step == 1) for (size_t i = 0; i < n; i++) sum[i] += weight * row[i];
        else for (size_t i = 0; i < n; i++) sum[i] += weight * row[(ptrdiff_t)i * step];
    }
    static inline uint8_t tf_clip(int32_t v) { v >>= 16; return v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v; }
    TF_CLONES static void tf_convert_row(
        const uint8_t *y, const uint8_t *u, const uint8_t *v, uint8_t *rgb, size_t n, const int32_t *c
    ) {
        for (size_t i = 0; i < n; i++) {
            int32_t luma = c[0] * ((int32_t)y[i] - c[5]) + 32768;
            int32_t d = (int32_t)u[i] - 128, e = (int32_t)v[i] - 128;
            rgb[3 * i] = tf_clip(luma + c[1] * e);
            rgb[3 * i + 1] = tf_clip(luma - c[2] * d - c[3] * e);
            rgb[3 * i + 2] = tf_clip(luma + c[4] * d);
        }
    }
    """
    void tf_set_row(uint32_t *sum, const uint8_t *row, ptrdiff_t step, size_t n, uint32_t weight) nogil
    void tf_add_row(uint32_t *sum, const uint8_t *row, ptrdiff_t step, size_t n, uint32_t weight) nogil
    void tf_convert_row(
        const uint8_t *y, const uint8_t *u, const uint8_t *v, uint8_t *rgb, size_t n, const int32_t *c
    ) nogil


MAX_SIDE = 16384

# luma gain, R from V, G from U, G from V, B from U (times 65536), black level
cdef int32_t[4][6] COEFFICIENTS = [
    [76309, 104597, 25675, 53279, 132201, 16],   # BT.601, limited range
    [65536, 91881, 22553, 46802, 116130, 0],     # BT.601, full range
    [76309, 117489, 13975, 34925, 138438, 16],   # BT.709, limited range
    [65536, 103206, 12277, 30679, 121609, 0],    # BT.709, full range
]


cdef int64_t _gcd(int64_t a, int64_t b) noexcept nogil:
    while b:
        a, b = b, a % b
    return a


cdef void _average(
    const uint8_t *source, Py_ssize_t stride, Py_ssize_t step, int64_t width, int64_t height,
    uint8_t *target, int64_t new_width, int64_t new_height, uint32_t *sums,
) noexcept nogil:
    """Averages one plane; `sums` holds `width` numbers. Row sums first: those vectorise over whole source rows."""
    cdef int64_t common_x = _gcd(width, new_width), common_y = _gcd(height, new_height)
    # A source pixel is `unit` long and an output pixel `span`, in the smallest common measure of both.
    cdef int64_t span_x = width // common_x, unit_x = new_width // common_x
    cdef int64_t span_y = height // common_y, unit_y = new_height // common_y
    cdef uint64_t area = <uint64_t>span_x * <uint64_t>span_y, total
    cdef int64_t whole_x = span_x // unit_x, over_x = span_x % unit_x
    cdef double half = 0.5 + <double>(area // 2), share = 1.0 / <double>area
    cdef int64_t row, column, begin, end, first, last, offset, rest, i
    cdef uint8_t *out
    if width == new_width and height == new_height:
        for row in range(height):
            if step == 1:
                memcpy(target + row * width, source + row * stride, width)
                continue
            for column in range(width):
                target[row * width + column] = source[row * stride + column * step]
        return
    for row in range(new_height):
        begin = row * span_y
        end = begin + span_y
        first = begin // unit_y
        last = (end - 1) // unit_y
        if first == last:
            tf_set_row(sums, source + first * stride, step, width, <uint32_t>span_y)
        else:
            tf_set_row(sums, source + first * stride, step, width, <uint32_t>((first + 1) * unit_y - begin))
            for i in range(first + 1, last):
                tf_add_row(sums, source + i * stride, step, width, <uint32_t>unit_y)
            tf_add_row(sums, source + last * stride, step, width, <uint32_t>(end - last * unit_y))
        out = target + row * new_width
        # `first` and `offset` say where an output pixel begins; they step on without a division.
        first = offset = 0
        for column in range(new_width):
            rest = offset + over_x - 1
            last = first + whole_x + (1 if rest >= unit_x else -1 if rest < 0 else 0)
            if first == last:
                total = <uint64_t>sums[first] * <uint64_t>span_x
            else:
                total = 0
                for i in range(first + 1, last):
                    total += sums[i]
                total = total * <uint64_t>unit_x
                total += <uint64_t>sums[first] * <uint64_t>(unit_x - offset)
                total += <uint64_t>sums[last] * <uint64_t>(offset + span_x - (last - first) * unit_x)
            # A division of integers, faster: half an `area`th lies between the quotient and any whole number, which is
            # far more than a double errs by.
            out[column] = <uint8_t>((<double><int64_t>total + half) * share)
            first += whole_x
            offset += over_x
            if offset >= unit_x:
                offset -= unit_x
                first += 1


cdef int _check(Py_ssize_t width, Py_ssize_t height, object what) except -1:
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ValueError(f"{what} is {width}x{height}: both sides must be 1 to {MAX_SIDE} pixels")
    return 0


cdef int _check_420(const uint8_t[:, :] y, const uint8_t[:, :] u, const uint8_t[:, :] v) except -1:
    _check(y.shape[1], y.shape[0], "the picture")
    cdef Py_ssize_t chroma_width = (y.shape[1] + 1) // 2, chroma_height = (y.shape[0] + 1) // 2
    if (u.shape[0] != chroma_height or v.shape[0] != chroma_height
            or u.shape[1] != chroma_width or v.shape[1] != chroma_width):
        raise ValueError(
            f"chroma planes of a {y.shape[1]}x{y.shape[0]} picture must be {chroma_width}x{chroma_height}, "
            f"not {u.shape[1]}x{u.shape[0]} and {v.shape[1]}x{v.shape[0]}"
        )
    return 0


def area_average(const uint8_t[:, :] plane, Py_ssize_t width, Py_ssize_t height):
    """A plane averaged to height x width, as a new uint8 array; sizes above the source's repeat pixels.

    The plane may have any strides and be read-only. Raises ValueError for an empty or over-long side.
    """
    _check(plane.shape[1], plane.shape[0], "the plane")
    _check(width, height, "the wanted size")
    result = np.empty((height, width), dtype=np.uint8)
    cdef uint8_t[:, ::1] target = result
    cdef uint32_t *sums = <uint32_t *>malloc(plane.shape[1] * sizeof(uint32_t))
    if sums is NULL:
        raise MemoryError
    with nogil:
        _average(
            &plane[0, 0], plane.strides[0], plane.strides[1], plane.shape[1], plane.shape[0],
            &target[0, 0], width, height, sums,
        )
    free(sums)
    return result


def rgb24(
    const uint8_t[:, :] y, const uint8_t[:, :] u, const uint8_t[:, :] v,
    Py_ssize_t width, Py_ssize_t height, bint bt709, bint full_range,
):
    """Planes of a 4:2:0 picture averaged to width x height and converted: rows of R, G, B bytes without padding.

    Raises ValueError when the chroma planes are not half the luma plane, rounded up, or a side is out of bounds.
    """
    _check_420(y, u, v)
    _check(width, height, "the wanted size")
    cdef const int32_t *coefficients = COEFFICIENTS[2 * bt709 + full_range]
    cdef Py_ssize_t area = width * height, row
    cdef bytes rgb = PyBytes_FromStringAndSize(NULL, 3 * area)
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(rgb)
    cdef uint8_t *planes = <uint8_t *>malloc(3 * area + y.shape[1] * sizeof(uint32_t) + 8)
    if planes is NULL:
        raise MemoryError
    # The sums lie behind the planes, on the next multiple of four.
    cdef uint32_t *sums = <uint32_t *>(planes + (3 * area + 3) // 4 * 4)
    with nogil:
        _average(&y[0, 0], y.strides[0], y.strides[1], y.shape[1], y.shape[0], planes, width, height, sums)
        _average(&u[0, 0], u.strides[0], u.strides[1], u.shape[1], u.shape[0], planes + area, width, height, sums)
        _average(&v[0, 0], v.strides[0], v.strides[1], v.shape[1], v.shape[0], planes + 2 * area, width, height, sums)
        for row in range(height):
            tf_convert_row(
                planes + row * width, planes + area + row * width, planes + 2 * area + row * width,
                out + 3 * row * width, width, coefficients,
            )
    free(planes)
    return rgb


def packed_i420(
    bytes before, const uint8_t[:, :] y, const uint8_t[:, :] u, const uint8_t[:, :] v,
    Py_ssize_t width, Py_ssize_t height,
):
    """`before`, then the planes Y, U, V averaged to width x height (full size: as they are), rows without padding.

    Chroma planes of the result have half the width and height, rounded up. Raises ValueError as `rgb24`.
    """
    _check_420(y, u, v)
    _check(width, height, "the wanted size")
    cdef Py_ssize_t lead = len(before), area = width * height
    cdef Py_ssize_t half_width = (width + 1) // 2, half_height = (height + 1) // 2
    cdef Py_ssize_t chroma = half_width * half_height
    cdef bytes packed = PyBytes_FromStringAndSize(NULL, lead + area + 2 * chroma)
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(packed)
    cdef uint32_t *sums = <uint32_t *>malloc(y.shape[1] * sizeof(uint32_t))
    if sums is NULL:
        raise MemoryError
    memcpy(out, PyBytes_AS_STRING(before), lead)
    out += lead
    with nogil:
        _average(&y[0, 0], y.strides[0], y.strides[1], y.shape[1], y.shape[0], out, width, height, sums)
        out += area
        _average(&u[0, 0], u.strides[0], u.strides[1], u.shape[1], u.shape[0], out, half_width, half_height, sums)
        out += chroma
        _average(&v[0, 0], v.strides[0], v.strides[1], v.shape[1], v.shape[0], out, half_width, half_height, sums)
    free(sums)
    return packed


def fit(Py_ssize_t width, Py_ssize_t height, Py_ssize_t max_width, Py_ssize_t max_height):
    """The largest size of the same shape inside max_width x max_height, never above the source's: (width, height)."""
    _check(width, height, "the picture")
    _check(max_width, max_height, "the wanted size")
    if width <= max_width and height <= max_height:
        return width, height
    if width * max_height >= height * max_width:
        return max_width, max(1, (2 * height * max_width + width) // (2 * width))
    return max(1, (2 * width * max_height + height) // (2 * height)), max_height
