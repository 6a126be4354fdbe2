"""run.json: how every other command finds the running instance of a data folder.

What should not be in this module: starting or stopping it (`supervisor`).
"""

from __future__ import annotations

import fcntl
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mesh.errors import Unavailable
from trueframe.layout import Layout, layout_of


class NotRunning(Unavailable):
    """Nothing runs on this data folder."""


@dataclass(frozen=True, slots=True)
class Running:
    """What a running instance tells about itself. Times in UTC nanoseconds."""

    pid: int
    started_ns: int
    data: str
    config: str
    token_file: str
    endpoints: dict[str, str]
    children: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    simulator: dict[str, object] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """As it stands in the file."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Running:
        """The inverse of `to_json`. Raises ValueError, KeyError, TypeError."""
        fields = json.loads(data)
        return cls(**{name: fields[name] for name in cls.__dataclass_fields__})


def is_locked(layout: Layout) -> bool:
    """Whether a supervisor holds the data folder at this moment."""
    try:
        with layout.lock.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def find_running(data: str | Path) -> Running:
    """The instance on this data folder. Raises NotRunning."""
    layout = layout_of(data)
    remedy = f"Start it with `trueframe up --data {data}`, or name another folder with --data."
    if not layout.run.is_dir():
        raise NotRunning(f"data folder {layout.data}", "trueframe was never started here", remedy)
    if not is_locked(layout):
        raise NotRunning(f"data folder {layout.data}", "trueframe is not running", remedy)
    try:
        return Running.from_json(layout.run_json.read_bytes())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotRunning(
            f"data folder {layout.data}", "trueframe is still starting", "Try again in a moment."
        ) from error
