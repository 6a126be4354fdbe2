"""Which segments were brought back from the second tier, and until when they stay: a small file in the footage folder.

What does not belong here: bringing them back (`bring_back`), and moving them away again (`retention`).
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from mesh.files import write_atomic
from mesh.logs import get_logger

log = get_logger("media_center.stays")

NAME = ".brought-back.json"


class Stays:
    """Times in UTC nanoseconds. Any thread may look; one at a time changes."""

    def __init__(self, root: Path) -> None:
        self._path = root / NAME
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, int]] = {}
        with contextlib.suppress(FileNotFoundError):
            try:
                found = json.loads(self._path.read_bytes())
                self._known = {
                    str(camera): {str(name): int(until_ns) for name, until_ns in names.items()}
                    for camera, names in found.items()
                }
            except (ValueError, TypeError, AttributeError) as error:
                log.error("what was brought back is forgotten", file=str(self._path), reason=str(error))

    def of(self, camera: str) -> Mapping[str, int]:
        """Until when, by name of the segment. It may be over."""
        return self._known.get(camera, {})

    def put(self, camera: str, names: Iterable[str], until_ns: int, now_ns: int) -> None:
        """Segments of a camera stay until then; what is over is forgotten. Raises OSError, and then nothing changes."""
        with self._lock:
            known = {one: dict(stays) for one, stays in self._known.items()}
            known.setdefault(camera, {}).update(dict.fromkeys(names, until_ns))
            left = {
                one: {name: until for name, until in stays.items() if until > now_ns} for one, stays in known.items()
            }
            left = {one: stays for one, stays in left.items() if stays}
            write_atomic(self._path, json.dumps(left).encode(), mode=0o640)
            self._known = left
