"""Who looked at, took or changed which footage: an append-only log of JSON lines, each bound to the one before it.

What belongs here: what a line says. What does not: writing it (`mesh.audit_log`), reading and verifying
(`access_book`), and deciding what is an access (the `service_*` rooms record).

In `<data>/media-center/access` (not below `media`: "access" is a good name for a camera).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from media_center.access_book import ACCESS
from mesh.audit_log import ChainLog, Sign
from mesh.clocks import Clock

_MAX_TEXT = 500


class AccessLog(ChainLog):
    """The only writer of the log of a media center. Use it as a context manager: leaving it writes what waits."""

    def __init__(self, folder: Path, clock: Clock, sign: Sign | None = None, **bounds: Any) -> None:
        """`folder` is made if it is not there; `bounds` as of ChainLog. Raises OSError, PermissionDenied."""
        super().__init__(ACCESS, folder, clock, sign, **bounds)

    def record(
        self, principal: str, action: str, camera: str = "", from_ns: int = 0, to_ns: int = 0, detail: str = ""
    ) -> None:
        """Notes an access. Returns at once, from any thread. Times in UTC nanoseconds, 0 for open."""
        said = {"principal": principal[:_MAX_TEXT], "action": action, "camera": camera}
        self.append({**said, "from_ns": from_ns, "to_ns": to_ns, "detail": detail[:_MAX_TEXT]})
