"""How glibc's allocator is set up in a process through which much passes. Set once, before the work begins.

What does not belong here: which process does it (its service's configuration), cores and priorities.
"""

from __future__ import annotations

import ctypes

# mallopt's names and what they are set to. Messages of some hundred kilobytes come and go thousands of times a second:
# by default glibc gives their pages back to the kernel and faults them in again.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_ALLOCATOR = (
    (_M_MMAP_THRESHOLD, 32 << 20),
    (_M_TRIM_THRESHOLD, 128 << 20),
    (_M_TOP_PAD, 16 << 20),
)


def tune_malloc() -> bool:
    """Makes glibc's allocator keep what is freed; False where the C library is another one."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return all(mallopt(name, value) == 1 for name, value in _ALLOCATOR)
