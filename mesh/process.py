"""Processes that end with their parent. Who starts and restarts them is the supervisor's.

`python -m mesh.process COMMAND…` becomes the command, which then receives SIGTERM when its parent dies.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT_PID_VARIABLE = "TRUEFRAME_PARENT_PID"
_PR_SET_PDEATHSIG = 1


def set_parent_death_signal(signal_number: signal.Signals = signal.SIGTERM) -> None:
    """Asks the kernel to send this process a signal when the thread that started it ends. Survives exec."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def die_with_parent(signal_number: signal.Signals = signal.SIGTERM) -> None:
    """`set_parent_death_signal`, and closes the race: ends at once if the parent is gone already.

    The parent is the one named in TRUEFRAME_PARENT_PID; without that variable nothing happens, so that a service
    started by hand in a shell does not follow it.
    """
    expected = os.environ.get(PARENT_PID_VARIABLE, "")
    if not expected.isdigit():
        return
    set_parent_death_signal(signal_number)
    if os.getppid() != int(expected):
        raise SystemExit(0)


def child_environment(**extra: str) -> dict[str, str]:
    """Environment for a child that shall end with this process."""
    return {**os.environ, PARENT_PID_VARIABLE: str(os.getpid()), **extra}


def main() -> None:
    """Sets the death signal, then becomes the command of the arguments."""
    if len(sys.argv) < 2:
        raise SystemExit("usage: python -m mesh.process COMMAND [ARGUMENT…]")
    die_with_parent()
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
