"""The sent log: what a camera sent, to whom and when. It is the judge of every loss claim.

What belongs here: the file's form, writing and reading. One file per camera, `<camera>.sent`; one row of 72 bytes per
access unit and connection, appended unbuffered right after the unit went to the socket, so that the log is whole
whatever happens to the simulator. A unit of which no packet was sent because of a fault stands there with
`dropped_packets == packets`; a unit nobody was connected for does not stand there.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

_ROW = struct.Struct("<QQQ32sIIII")
_TAIL_ROWS = 4096


@dataclass(frozen=True, slots=True)
class SentUnit:
    """One access unit as it was sent over one connection."""

    number: int
    """The camera's running number, as stamped into the unit."""
    sent_ns: int
    """UTC nanoseconds, as stamped into the unit."""
    sent_monotonic_ns: int
    """This host's monotonic clock right before the last packet was handed to the socket."""
    digest: bytes
    """SHA-256 of the canonical payload."""
    frame_in_loop: int
    """The counter that this unit's picture shows (for a file: its position in presentation order)."""
    packets: int
    """RTP packets that the unit was cut into."""
    dropped_packets: int
    """How many of those were not sent."""
    connection: int
    """Which of the camera's connections, counted from 1 in order of PLAY."""


class LogWriter:
    """Appends rows to one camera's log, also to that of an earlier run: numbers and connections go on there."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        earlier = _tail(path)
        self.next_number = max((row.number for row in earlier), default=-1) + 1
        """The first number that is not in the log yet."""
        self.last_connection = max((row.connection for row in earlier), default=0)
        """The greatest connection that is in the log."""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def append(
        self,
        number: int,
        sent_ns: int,
        sent_monotonic_ns: int,
        digest: bytes,
        frame_in_loop: int,
        packets: int,
        dropped_packets: int,
        connection: int,
    ) -> None:
        """Writes one row (see `SentUnit`)."""
        row = _ROW.pack(number, sent_ns, sent_monotonic_ns, digest, frame_in_loop, packets, dropped_packets, connection)
        os.write(self._file, row)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


def _tail(path: Path) -> list[SentUnit]:
    """The last rows of a log that is about to be continued; half a row at its end is cut off."""
    if not path.exists():
        return []
    whole = path.stat().st_size // _ROW.size
    os.truncate(path, whole * _ROW.size)
    with path.open("rb") as file:
        file.seek(max(0, whole - _TAIL_ROWS) * _ROW.size)
        return [SentUnit(*row) for row in _ROW.iter_unpack(file.read())]


def path_of(folder: Path, camera: str) -> Path:
    """Where a camera's log lies in the simulator's log folder."""
    return folder / f"{camera}.sent"


def read(path: Path | str) -> list[SentUnit]:
    """All whole rows of a log, in order of sending; the file may still grow. An absent file holds none."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return []
    whole = len(data) // _ROW.size * _ROW.size
    return [SentUnit(*row) for row in _ROW.iter_unpack(data[:whole])]
