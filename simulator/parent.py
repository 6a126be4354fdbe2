"""Dying with the parent: children of a supervisor, and rendering processes, must not outlive who started them."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def die_with_parent(signal_number: int = signal.SIGTERM) -> None:
    """Asks the kernel (Linux) for this signal when the parent dies. Elsewhere it does nothing."""
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (AttributeError, OSError):
        return
    prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)


def is_orphan() -> bool:
    """Whether the process named in TRUEFRAME_PARENT_PID is no longer our parent. False when none is named.

    Asked now and then instead of PR_SET_PDEATHSIG, which fires when the *thread* that started us ends.
    """
    expected = os.environ.get("TRUEFRAME_PARENT_PID", "")
    return expected.isdecimal() and os.getppid() != int(expected)
