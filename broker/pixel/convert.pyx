"""Planes of other formats brought to 8-bit 4:2:0 in integers: the same bytes on every machine.

Here: the arithmetic. Which formats a decoder may give stands in planes.py. Not here: scaling, RGB (scale.pyx).

A chroma sample of the result is the mean of the source samples that lie in its 2x2 block of the picture, at the source's
depth: two side by side (4:2:2: two on top of each other), four (4:4:4), a half (4:1:1: one sample serves two). At an odd
edge the mean is that of the samples there are. The mean is rounded half up once, to 8 bits, and clipped to 255.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

import numpy as np

MAX_SIDE = 16384

ctypedef fused sample:
    uint8_t
    uint16_t


cdef void _reduce(
    const sample[:, :] source, uint8_t[:, ::1] target, Py_ssize_t step_x, Py_ssize_t step_y, Py_ssize_t repeat_x,
    int shift,
) noexcept nogil:
    cdef Py_ssize_t row, column, x, y, last_x = source.shape[1] - 1, last_y = source.shape[0] - 1
    cdef Py_ssize_t first_x, first_y, end_x, end_y
    cdef uint32_t total, count, value
    for row in range(target.shape[0]):
        first_y = row * step_y
        end_y = min(first_y + step_y - 1, last_y)
        for column in range(target.shape[1]):
            first_x = min(column * step_x // repeat_x, last_x)
            end_x = min(first_x + step_x - 1, last_x)
            total = 0
            for y in range(first_y, end_y + 1):
                for x in range(first_x, end_x + 1):
                    total += source[y, x]
            count = <uint32_t>((end_x - first_x + 1) * (end_y - first_y + 1)) << shift
            value = (total + count // 2) // count
            target[row, column] = <uint8_t>(value if value < 255 else 255)


def reduced(
    const sample[:, :] plane, Py_ssize_t width, Py_ssize_t height, *, Py_ssize_t step_x=1, Py_ssize_t step_y=1,
    Py_ssize_t repeat_x=1, int shift=0,
):
    """A plane of `height` x `width` bytes, each the mean of step_y x step_x samples of `shift` more bits than 8.

    `repeat_x`: so many neighbours in a row share a sample. Raises ValueError for a size or step that does not fit the
    plane: every sample of the result must have one of its own to look at.
    """
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ValueError(f"{width}x{height}: both sides must be 1 to {MAX_SIDE} pixels")
    if not (1 <= step_x <= 2 and 1 <= step_y <= 2 and 1 <= repeat_x <= 2 and 0 <= shift <= 8):
        raise ValueError(f"steps {step_x} and {step_y}, repeated {repeat_x} times, shifted by {shift} bits")
    if (width - 1) * step_x // repeat_x >= plane.shape[1] or (height - 1) * step_y >= plane.shape[0]:
        raise ValueError(f"a plane of {plane.shape[1]}x{plane.shape[0]} is too small for {width}x{height}")
    result = np.empty((height, width), np.uint8)
    cdef uint8_t[:, ::1] target = result
    with nogil:
        _reduce(plane, target, step_x, step_y, repeat_x, shift)
    return result
