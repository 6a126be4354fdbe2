"""How an attempt to deliver fails. Inside the event center only: nothing of it goes over the wire.

DeliveryError
├── Refused     this message is not wanted, and never will be: trying again changes nothing
└── Deferred    the other side is away, slow, or does not let us in: tried again
"""

from __future__ import annotations


class DeliveryError(Exception):
    """An attempt failed. `reason` is for people, and holds no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Refused(DeliveryError):
    """For good."""


class Deferred(DeliveryError):
    """For now. `after_s`: how long the other side asks to be left alone; 0 if it did not say."""

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s
