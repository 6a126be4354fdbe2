"""Bounded logs of children: lines in, at most `keep` + 1 files of `max_bytes` each out.

What should not be in this module: what the lines say.
"""

from __future__ import annotations

import io
import itertools
import os
from collections import deque
from pathlib import Path


def _open(path: Path) -> io.FileIO:
    return io.FileIO(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))


class BoundedLog:
    """One child's log. A full disk never stops a child: what cannot be written is counted and dropped."""

    def __init__(self, path: Path, max_bytes: int = 8 << 20, keep: int = 2) -> None:
        self.path = path
        self.dropped_lines = 0
        self.last_lines: deque[str] = deque(maxlen=20)
        self._max_bytes = max_bytes
        self._keep = keep
        self._file = _open(path)
        self._size = self._file.tell()

    def write(self, line: bytes) -> None:
        """Appends one line, its newline included."""
        self.last_lines.append(line.decode(errors="replace").rstrip())
        try:
            if self._size + len(line) > self._max_bytes and self._size:
                self._rotate()
            self._file.write(line)
            self._size += len(line)
        except OSError:
            self.dropped_lines += 1

    def _rotate(self) -> None:
        self._file.close()
        names = [self.path, *(self.path.with_name(f"{self.path.name}.{n}") for n in range(1, self._keep + 1))]
        for newer, older in reversed(list(itertools.pairwise(names))):
            if newer.exists():
                newer.replace(older)
        self._file = _open(self.path)
        self._size = 0

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
