"""The book of a backup: which segments lie in its folder, as JSON lines that are appended and synced one by one.

What belongs here: the file `backup.jsonl` and the names of files beside it. What does not: copying (`copying`) and
putting back (`restoring`).

    FOLDER/backup.jsonl                      {"form": "trueframe-backup-1"}, then a line a segment; the last one counts
    FOLDER/media/<camera>/<segment>.mp4      segments, byte for byte, seals included
    FOLDER/media/<camera>/removed.jsonl      why segments before them are not there: see docs/design/0016-proof.md
    FOLDER/keys/footage-keys.json            public keys that sealed them

A segment needs nothing beside it: index and catalogue are made again when it is put back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from media_center.catalogue import parse_name
from mesh.errors import FailedPrecondition, NotFound
from mesh.files import sync_folder
from mesh.ids import is_camera_id

BOOK_NAME = "backup.jsonl"
_FORM = "trueframe-backup-1"


@dataclass(frozen=True, slots=True)
class Copy:
    """A segment in a backup. Times in UTC nanoseconds."""

    camera: str
    name: str
    size_bytes: int
    sha256: str
    """Of the whole file, in hexadecimal."""
    from_ns: int
    to_ns: int
    frames: int
    copied_ns: int
    findings: tuple[str, ...] = ()
    """What was wrong with it when it was copied; it is tried again with the next backup."""


class BackupBook:
    """Reads and appends. One program at a time. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder and its book if they are not there. Raises FailedPrecondition, OSError."""
        self.folder = folder
        (folder / "media").mkdir(parents=True, exist_ok=True)
        path = folder / BOOK_NAME
        is_new = not path.exists()
        self.copies: dict[tuple[str, str], Copy] = {} if is_new else read_book(folder)
        self._file = path.open("ab")
        if is_new:
            if any(entry for entry in folder.iterdir() if entry.name not in (BOOK_NAME, "media")):
                self._file.close()
                path.unlink()
                raise FailedPrecondition(
                    f"folder {folder}", "holds something else than a backup", "Name an empty or a new one."
                )
            self._append({"form": _FORM})
            sync_folder(folder)
        elif torn := _torn_bytes(path):
            os.truncate(path, path.stat().st_size - torn)

    def add(self, copy: Copy) -> None:
        """Enters a segment that is on disk. Raises OSError."""
        self._append(asdict(copy))
        self.copies[copy.camera, copy.name] = copy

    def _append(self, body: dict[str, object]) -> None:
        self._file.write(json.dumps(body).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> BackupBook:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_book(folder: Path) -> dict[tuple[str, str], Copy]:
    """The segments of a backup by camera and name. Raises NotFound, FailedPrecondition."""
    try:
        lines = (folder / BOOK_NAME).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        raise NotFound(f"folder {folder}", "holds no backup", "`trueframe backup FOLDER` makes one.") from None
    except OSError as error:
        raise FailedPrecondition(f"backup {folder}", f"cannot be read ({error.strerror})") from None
    try:
        if not lines or json.loads(lines[0]) != {"form": _FORM}:
            raise ValueError("is not a book of ours")
        copies = [_copy(json.loads(line)) for line in lines[1:]]
    except (ValueError, KeyError, TypeError) as error:
        raise FailedPrecondition(
            f"backup {folder}", f"{BOOK_NAME} cannot be used: {error}", "Begin a new backup in another folder."
        ) from None
    return {(copy.camera, copy.name): copy for copy in copies}


def file_of(folder: Path, copy: Copy) -> Path:
    """Where a segment lies in a backup."""
    return folder / "media" / copy.camera / copy.name


def whole(copies: Iterable[Copy]) -> list[Copy]:
    """By camera, in recorded order."""
    return sorted(copies, key=lambda copy: (copy.camera, copy.name))


def _copy(body: dict[str, object]) -> Copy:
    copy = Copy(**(body | {"findings": tuple(body["findings"])}))  # type: ignore[arg-type]
    if not is_camera_id(copy.camera) or parse_name(copy.name) is None:
        raise ValueError("a line names no segment of a camera")
    return copy


def _torn_bytes(path: Path) -> int:
    """Bytes behind the last whole line."""
    data = path.read_bytes()
    return len(data) - (data.rfind(b"\n") + 1)
