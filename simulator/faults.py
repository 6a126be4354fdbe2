"""Faults on demand: what can go wrong with a simulated camera at a moment of a run.

What belongs here: the kinds, their parameters and the seeded dice. What does not: acting them out (`camera`, `viewers`,
`rtsp_server` and `http_server` do, each its part); what a camera is like all the time (`traits`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

KINDS = {
    "none": "the camera works",
    "drop": "every connection to the camera is cut, once; new ones work",
    "cut-short": "every connection is cut inside a packet (over HTTP: inside a part), once; new ones work",
    "stall": "connections stay and are answered, but no pictures come",
    "hang": "connections stay, no pictures come and requests are not answered",
    "refuse": "connections are cut and every new request for the camera is answered 503",
    "unauthorised": "connections are cut and every login is refused, whatever the password",
    "lose": "this share of RTP packets is not sent (their sequence numbers are used up); over HTTP, of parts",
    "corrupt": "this share of RTP packets carries random bytes instead of its payload; over HTTP, of parts",
    "reorder": "this share of RTP packets overtakes the one before it (within a unit; a network does that to UDP)",
    "duplicate": "this share of RTP packets is sent twice",
    "delay": "this share of RTP packets leaves by_s later, behind its followers",
    "burst": "everything is held back for by_s and then sent at once, again and again",
    "dribble": "over TCP, units are written in pieces of a few bytes",
    "garbage": "random bytes that are no RTP at all come instead of pictures",
    "junk": "packets on channels nobody set up and stray bytes come between packets (over TCP)",
    "audio-only": "connections are cut and the camera describes an audio stream only",
    "stop": "the camera is switched off: connections are cut, new ones are closed without an answer",
    "jump": "RTP timestamps (and reports with them) jump by by_s, once, either way",
    "clock-jump": "the camera's wall clock (reports, header extension) jumps by by_s, once, either way",
    "resize": "pictures change their size at the next join point, connections stay (trait other=size:…); again: back",
    "recode": "connections are cut and the camera describes another codec (trait other=codec:…); again: back",
}
CUTS = frozenset({"drop", "refuse", "unauthorised", "audio-only", "stop", "recode"})
"""Kinds that cut the connections there are."""
MOMENTS = frozenset({"drop", "cut-short", "jump", "clock-jump", "resize", "recode"})
"""Kinds that are over once they have happened."""
HITS = frozenset({"lose", "corrupt", "reorder", "duplicate", "delay", "garbage", "junk"})
"""Kinds that concern single packets."""
MAX_BY_S = 1e7


class FaultError(ValueError):
    """A fault nobody can act out; the message names it and what there is."""


@dataclass(slots=True)
class Fault:
    """The fault a camera has now."""

    kind: str = "none"
    share: float = 0.01
    seed: int = 1
    by_s: float = 0.0
    """Of jumps: how far. Of delay and burst: how long, at most 10 s; 0 means 0.05 and 1."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FaultError(f"fault {self.kind!r} is unknown; there are {', '.join(KINDS)}")
        if not 0.0 <= self.share <= 1.0:
            raise FaultError(f"share {self.share}: take 0 to 1")
        if self.kind in ("delay", "burst"):
            self.by_s = self.by_s or (0.05 if self.kind == "delay" else 1.0)
            if not 0.0 < self.by_s <= 10.0:
                raise FaultError(f"{self.kind} by_s {self.by_s:g}: take more than 0 to 10")
        if not abs(self.by_s) <= MAX_BY_S:
            raise FaultError(f"by_s {self.by_s:g}: take -{MAX_BY_S:g} to {MAX_BY_S:g}")

    def dice(self) -> random.Random:
        """A fresh, seeded source of the packets to hit."""
        return random.Random(self.seed)
