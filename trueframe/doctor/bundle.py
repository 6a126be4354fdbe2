"""A support bundle: what somebody far away needs to help, and nothing that must not leave the site.

Every member passes the cleaner at the one place where members are added, whatever was done to it before. Footage,
pictures, documents and keys are never opened for it. What should not be in this module: what is secret (`hoard`), how
it is taken out (`cleaning`), what is asked of the instance (`state`).
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mesh.errors import AlreadyExists
from trueframe.doctor.cleaning import Cleaner

MAX_LOG_BYTES = 1 << 20
MAX_MEMBER_BYTES = 16 << 20
MAX_ALL_BYTES = 128 << 20


@dataclass
class Bundle:
    """Members, cleaned and bounded."""

    cleaner: Cleaner
    members: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What is missing, and why."""

    def add_text(self, name: str, text: str) -> None:
        """A text."""
        data = self.cleaner.text(text).encode()
        if len(data) > MAX_MEMBER_BYTES:
            self.notes.append(f"{name}: cut to its last {MAX_MEMBER_BYTES} bytes")
            data = data[-MAX_MEMBER_BYTES:]
        if sum(map(len, self.members.values())) + len(data) > MAX_ALL_BYTES:
            self.notes.append(f"{name}: left out, the bundle is full")
            return
        self.members[name] = data

    def add_json(self, name: str, value: object) -> None:
        """A JSON document."""
        self.add_text(name, json.dumps(self.cleaner.value(value), indent=1, ensure_ascii=False) + "\n")

    def attempt(self, name: str, add: Callable[[], None]) -> None:
        """Adds a member; one that cannot be had is noted, and the others are made."""
        try:
            add()
        except Exception as error:
            # Whatever ails the instance is why somebody asks for a bundle: nothing of it may prevent one.
            self.notes.append(f"{name}: {self.cleaner.text(f'{type(error).__name__}: {error}')}")

    def write(self, path: Path) -> int:
        """Writes the file, mode 0600; returns its bytes. Raises AlreadyExists, OSError."""
        about = {"made": datetime.now(UTC).isoformat(timespec="seconds"), "left_out": self.notes,
                 "members": {name: len(data) for name, data in sorted(self.members.items())}}  # fmt: skip
        everything = {"about.json": json.dumps(about, indent=1).encode() + b"\n", **self.members}
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, data in sorted(everything.items()):
                entry = tarfile.TarInfo(f"trueframe-support/{name}")
                entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
                archive.addfile(entry, io.BytesIO(data))
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(packed.getvalue())
        except FileExistsError:
            raise AlreadyExists(f"file {path}", "is there already", "Name another with -o.") from None
        return len(packed.getvalue())


def add_logs(bundle: Bundle, folder: Path, most_bytes: int = MAX_LOG_BYTES) -> None:
    """The end of each log, whole lines, `most_bytes` of one at most."""
    for path in sorted(folder.glob("*.log*")) if folder.is_dir() else ():
        bundle.attempt(f"logs/{path.name}", lambda path=path: _add_log(bundle, path, most_bytes))  # type: ignore[misc]


def _add_log(bundle: Bundle, path: Path, most_bytes: int) -> None:
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - most_bytes))
        data = file.read(most_bytes)
    if size > most_bytes:
        # A line that is cut may begin within a secret, which then looks like none.
        data = data.partition(b"\n")[2]
    bundle.add_text(f"logs/{path.name}", data.decode(errors="replace"))


def folders_of(data: Path) -> list[dict[str, object]]:
    """Top folders of a data folder: files and bytes in each. No name of a file of footage is told."""
    rows: list[dict[str, object]] = []
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        sizes = list(_sizes(folder))
        rows.append({"folder": folder.name, "mode": f"{folder.stat().st_mode & 0o777:o}", "files": len(sizes),
                     "bytes": sum(sizes)})  # fmt: skip
    return rows


def _sizes(folder: Path) -> Iterable[int]:
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                yield path.stat().st_size
        except OSError:
            continue
