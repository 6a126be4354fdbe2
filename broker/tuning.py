"""How the broker's process is set up for fan-out: allocator and core. See docs/design/0011-fanout.md for the effect.

Belongs here: what is set once, before the first camera. Does not belong here: anything that a frame pays for.
"""

from __future__ import annotations

import ctypes
import os

from mesh.allocator import tune_malloc
from mesh.errors import InvalidArgument
from mesh.logs import get_logger

log = get_logger("broker.tuning")

# Of broker.pin_core.
PIN_NONE = -1
PIN_AUTO = -2

# With fewer cores PIN_AUTO binds to none.
MIN_CORES_TO_PIN = 4


def tune_process(pin_core: int, tunes_malloc: bool) -> None:
    """Sets up this process and all threads that it starts later. Raises InvalidArgument for a core it may not use."""
    if tunes_malloc:
        tune_malloc()
    core = pin(pin_core)
    log.info("process set up", malloc=tunes_malloc, core="any" if core is None else core)


def pin(wanted: int) -> int | None:
    """Binds this process to one core and returns it; None if it is bound to none.

    PIN_AUTO takes the core that the kernel runs it on now, which is as a rule the least busy; where there are few, it
    takes none: who is bound to one cannot make way when others need it. A process of one interpreter cannot use more
    than one anyway, and threads that wake each other do so cheaper there.
    """
    allowed = os.sched_getaffinity(0)
    if wanted == PIN_NONE or (wanted == PIN_AUTO and len(allowed) < MIN_CORES_TO_PIN):
        return None
    core = current_core() if wanted == PIN_AUTO else wanted
    if core not in allowed:
        cores = ", ".join(str(one) for one in sorted(allowed))
        raise InvalidArgument(
            f"broker.pin_core {core}", "is no core that this process may use", f"Use one of: {cores}."
        )
    os.sched_setaffinity(0, {core})
    return core


def current_core() -> int:
    """The core that this thread runs on at this moment."""
    return int(ctypes.CDLL(None).sched_getcpu())
