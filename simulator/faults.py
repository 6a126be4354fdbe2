"""Faults on demand: what can go wrong with a simulated camera.

What belongs here: the kinds, their parameters and the seeded dice. What does not: acting them out (`camera`, `viewers`
and `rtsp` do, each its part).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

KINDS = {
    "none": "the camera works",
    "drop": "every connection to the camera is cut, once; new ones work",
    "stall": "connections stay and are answered, but no pictures come",
    "hang": "connections stay, no pictures come and requests are not answered",
    "refuse": "connections are cut and every new request for the camera is answered 503",
    "unauthorised": "connections are cut and every login is refused, whatever the password",
    "lose": "this share of RTP packets is not sent (their sequence numbers are used up)",
    "corrupt": "this share of RTP packets carries random bytes instead of its payload",
    "reorder": "this share of RTP packets overtakes the one before it (within a unit; a network does that to UDP)",
    "garbage": "random bytes that are no RTP at all come instead of pictures (over TCP)",
    "audio-only": "connections are cut and the camera describes an audio stream only",
    "stop": "the camera is switched off: connections are cut, new ones are closed without an answer",
}
CUTS = frozenset({"drop", "refuse", "unauthorised", "audio-only", "stop"})
"""Kinds that cut the connections there are."""


class FaultError(ValueError):
    """A fault nobody can act out; the message names it and what there is."""


@dataclass(slots=True)
class Fault:
    """The fault a camera has now."""

    kind: str = "none"
    share: float = 0.01
    seed: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FaultError(f"fault {self.kind!r} is unknown; there are {', '.join(KINDS)}")
        if not 0.0 <= self.share <= 1.0:
            raise FaultError(f"share {self.share}: take 0 to 1")

    def dice(self) -> random.Random:
        """A fresh, seeded source of the packets to hit."""
        return random.Random(self.seed)
