"""The record of segments that were deleted on purpose: why a camera's chain of seals has the holes that it has.

What belongs here: the file `removed.jsonl` beside a camera's segments: signed rows, appended and never changed, each
naming the row before it. What does not: deciding what is deleted (`retention`) and judging (`verify_camera`).

A row is written and synced before its segment is deleted; a crash in between leaves a row of a segment that is still
there, which is no contradiction, and the row of the next try beside it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from media_center.seal import Seal, Signer
from media_center.statement import MalformedStatement, Statement, parse_statement, sign_statement

REMOVED_NAME = "removed.jsonl"
FORM = "trueframe-removed-1"
_FIRST = "0" * 64
_TAIL_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Removal:
    """A segment that was deleted. Times in UTC nanoseconds."""

    camera: str
    segment: str
    """Its file name."""
    number: int
    """Of its seal in the chain; 0 if it had none."""
    seal: bytes
    """Hash of its seal; empty if it had none."""
    first_seq: int
    last_seq: int
    frames: int
    from_ns: int
    to_ns: int
    size_bytes: int
    removed_ns: int
    reason: str
    """`age`, `size`, `space`, or what a human gave."""

    @classmethod
    def of(
        cls, camera: str, segment: str, seal: Seal | None, *, first_seq: int, last_seq: int, frames: int, from_ns: int,
        to_ns: int, size_bytes: int, removed_ns: int, reason: str,
    ) -> Removal:  # fmt: skip
        """The record of a segment with its seal, which the caller read before deleting it (`seal_files.read_seal`)."""
        number, hash_ = (seal.number, seal.hash) if seal is not None else (0, b"")
        return cls(
            camera, segment, number, hash_, first_seq, last_seq, frames, from_ns, to_ns, size_bytes, removed_ns, reason
        )


@dataclass(frozen=True, slots=True)
class RemovedRow:
    """A row as it was found. `problem`: why it cannot be used, empty if it can; its signature is not checked yet."""

    line: int
    removal: Removal | None
    statement: Statement | None
    problem: str = ""


class RemovedLog:
    """Appends to the log of one camera. Not thread-safe; one writer."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        self._path = folder / REMOVED_NAME
        self._signer = signer
        self._last: str | None = None

    def append(self, removals: Iterable[Removal]) -> None:
        """Writes rows and syncs them; only then may their segments go. Raises OSError, and nothing is logged."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            end, last = _end_of(fd) if self._last is None else (os.fstat(fd).st_size, self._last)
            data = bytearray()
            for removal in removals:
                line = sign_statement(_body(removal, last), self._signer)
                last = hashlib.sha256(line).hexdigest()
                data += line
            try:
                _write(fd, bytes(data), end)
                os.fsync(fd)
            except OSError:
                self._last = None
                os.ftruncate(fd, end)
                raise
            self._last = last
        finally:
            os.close(fd)


def read_removed(folder: Path) -> list[RemovedRow]:
    """All rows of a camera's log, in order; none if there is no log. A torn last one is left out. Raises OSError."""
    try:
        data = (folder / REMOVED_NAME).read_bytes()
    except FileNotFoundError:
        return []
    return rows_of(data)


def rows_of(data: bytes) -> list[RemovedRow]:
    """The rows in a part of a log; the first one is only linked to the one before it if that part is the beginning."""
    rows: list[RemovedRow] = []
    previous = _FIRST
    for number, text in enumerate(data.split(b"\n")[:-1], 1):
        line = text + b"\n"
        rows.append(_row(number, line, previous))
        previous = hashlib.sha256(line).hexdigest()
    return rows


def _row(number: int, line: bytes, previous: str) -> RemovedRow:
    try:
        statement = parse_statement(line, FORM)
        removal = _removal(statement)
    except MalformedStatement as error:
        return RemovedRow(number, None, None, str(error))
    is_linked = statement.body["previous"] == previous
    problem = "" if is_linked else "does not follow the row before it: rows were taken out, put in or changed"
    return RemovedRow(number, removal, statement, problem)


def _body(removal: Removal, previous: str) -> dict[str, object]:
    fields = {name: getattr(removal, name) for name in Removal.__slots__}
    return {"form": FORM, **fields, "seal": removal.seal.hex(), "previous": previous}


def _removal(statement: Statement) -> Removal:
    body = statement.body
    try:
        texts = {name: body[name] for name in ("camera", "segment", "reason", "seal", "previous")}
        numbers = {name: body[name] for name in Removal.__slots__ if name not in texts}
        if not all(isinstance(text, str) for text in texts.values()):
            raise TypeError
        if not all(type(number) is int for number in numbers.values()):
            raise TypeError
        seal = bytes.fromhex(texts["seal"])
    except (KeyError, TypeError, ValueError):
        raise MalformedStatement("a row without what a row has") from None
    return Removal(camera=texts["camera"], segment=texts["segment"], reason=texts["reason"], seal=seal, **numbers)


def _end_of(fd: int) -> tuple[int, str]:
    """Behind the last whole line, and the hash of that line; a torn one behind it will be overwritten."""
    size = os.fstat(fd).st_size
    start = max(0, size - _TAIL_BYTES)
    tail = os.pread(fd, size - start, start)
    whole = tail[: tail.rfind(b"\n") + 1]
    if not whole:
        return start if start else 0, _FIRST
    line = whole[whole.rfind(b"\n", 0, len(whole) - 1) + 1 :]
    return start + len(whole), hashlib.sha256(line).hexdigest()


def _write(fd: int, data: bytes, position: int) -> None:
    os.ftruncate(fd, position)
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, position)
        rest = rest[written:]
        position += written
