"""Which frames are looked at when not all are. By the frames' own times: the same frames are chosen again."""

from __future__ import annotations

SECOND = 1_000_000_000


def is_due(time_ns: int, due_ns: int, fps: float) -> tuple[bool, int]:
    """Whether a frame is looked at, and when the next one is due. `fps` 0: all frames are.

    On average `fps` frames a second, whatever the camera's rate; after a pause, or when time goes back, at once.
    """
    if fps <= 0:
        return True, 0
    period_ns = round(SECOND / fps)
    if due_ns - period_ns <= time_ns < due_ns:
        return False, due_ns
    next_ns = due_ns + period_ns
    is_close = time_ns < next_ns <= time_ns + period_ns
    return True, next_ns if is_close else time_ns + period_ns
