"""The last thing a key led to, in one line: an answer, a refusal, an error. Shown for some seconds in the status line.

What should not be in this module: drawing.
"""

from __future__ import annotations

import time

SHOWN_S = 6.0


class Notice:
    """One line that goes by itself."""

    def __init__(self) -> None:
        self._text = ""
        self._until = 0.0

    def say(self, text: str) -> None:
        """Takes the place of what was said before."""
        self._text = " ".join(text.split())
        self._until = time.monotonic() + SHOWN_S

    @property
    def text(self) -> str:
        """What is said now; empty if nothing is."""
        return self._text if time.monotonic() < self._until else ""
