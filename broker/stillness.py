"""Whether a picture stands still, proven without decoding: the same bytes again and again.

Belongs here: digests of whole pictures in, a verdict out. Pure. Does not belong here: codecs whose pictures depend on
each other. There, equal pictures have unequal bytes (frame numbers count), and tiny "nothing changed" pictures are what
a good encoder makes of a quiet night; the signal inspection decodes and judges those.
"""

from __future__ import annotations

FROZEN_AFTER_NS = 10_000_000_000
FROZEN_AFTER_PICTURES = 10


class Stillness:
    """One stream of pictures that each stand for themselves (Motion JPEG).

    A sensor's noise makes every picture a little different, so that ten equal ones over ten seconds are no quiet
    scene: the camera sends one picture again and again.
    """

    __slots__ = ("_count", "_digest", "_since_ns", "is_frozen")

    def __init__(self) -> None:
        self._digest = b""
        self._since_ns = 0
        self._count = 0
        self.is_frozen = False

    def observe(self, digest: bytes, monotonic_ns: int) -> bool | None:
        """Takes the next picture's digest. True when it froze now, False when it moves again, None for no change."""
        if digest != self._digest:
            self._digest, self._since_ns, self._count = digest, monotonic_ns, 1
            was_frozen, self.is_frozen = self.is_frozen, False
            return False if was_frozen else None
        self._count += 1
        is_still = self._count >= FROZEN_AFTER_PICTURES and monotonic_ns - self._since_ns >= FROZEN_AFTER_NS
        if is_still and not self.is_frozen:
            self.is_frozen = True
            return True
        return None
