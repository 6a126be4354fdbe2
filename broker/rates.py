"""Frames and bits per second over the last seconds, out of counters that only grow."""

from __future__ import annotations

from collections import deque

_NS = 1_000_000_000
_WINDOW = 6


class RateMeter:
    """Fed once a second; answers over the last five seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int, int]] = deque(maxlen=_WINDOW)

    def sample(self, now_ns: int, frames: int, payload_bytes: int) -> None:
        """Notes the counters at monotonic time `now_ns`."""
        self._samples.append((now_ns, frames, payload_bytes))

    def rates(self, now_ns: int, frames: int, payload_bytes: int) -> tuple[float, float]:
        """(frames per second, payload bits per second) from the oldest sample to the given counters."""
        if not self._samples:
            return 0.0, 0.0
        since_ns, frames_then, bytes_then = self._samples[0]
        elapsed_s = (now_ns - since_ns) / _NS
        if elapsed_s <= 0.2:
            return 0.0, 0.0
        return (frames - frames_then) / elapsed_s, (payload_bytes - bytes_then) * 8 / elapsed_s
