"""The access log as it is read: entries newest first, and whether the log is whole. Files only, nothing is written.

What does not belong here: writing (`access_log`) and whose entries a caller may see (`service_custody`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

GENESIS = bytes(32)
"""What the very first line has for the hash of the one before it."""
HEAD_NAME = "head.json"
_FORM = "trueframe-access-1"
_PREFIX = b"trueframe-access-1\0"
_NAME = re.compile(r"access-(\d{12})\.jsonl")


@dataclass(frozen=True, slots=True)
class Entry:
    """One access. Times in UTC nanoseconds, 0 for open."""

    number: int
    at_ns: int
    principal: str
    action: str
    camera: str
    from_ns: int
    to_ns: int
    detail: str
    missing: int = 0
    """Accesses right before this one that could not be written."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a log ends."""

    path: Path | None
    size: int
    """Bytes of that file up to its last whole line."""
    number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """How far a log is, and from where on it is kept."""

    first: int
    base: bytes
    """Hash of the line before the first one kept."""
    last: int
    hash: bytes
    """Of the last line."""
    at_ns: int
    key_id: bytes = b""
    signature: bytes = b""

    def statement(self, key_id: bytes) -> bytes:
        """What a signature covers."""
        return _PREFIX + json.dumps(self._body(key_id), sort_keys=True).encode()

    def signed(self, key_id: bytes, signature: bytes) -> Head:
        """The same with a signature."""
        return replace(self, key_id=key_id, signature=signature)

    def encode(self) -> bytes:
        """As it stands in the file."""
        return json.dumps(self._body(self.key_id) | {"signature": self.signature.hex()}, indent=1).encode() + b"\n"

    def _body(self, key_id: bytes) -> dict[str, Any]:
        return {
            "form": _FORM, "first": self.first, "base": self.base.hex(), "last": self.last, "hash": self.hash.hex(),
            "at_ns": self.at_ns, "key_id": key_id.hex(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class LogReport:
    """What verifying an access log found."""

    entries: int
    missing: int
    """Accesses that the log itself says it could not write."""
    findings: tuple[str, ...]
    """One sentence each; none means that every line is there as it was written."""
    signer: bytes
    """Key id of the head's signature; empty if it is not signed."""


def file_name(first: int) -> str:
    """The name of the file whose first line has that number."""
    return f"access-{first:012d}.jsonl"


def log_files(folder: Path) -> list[tuple[int, Path]]:
    """Files of a log with the number of their first line, oldest first. OSError if the folder cannot be read."""
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return sorted(found)


def read_head(folder: Path) -> Head | None:
    """The head of a log; None if there is none that can be read."""
    try:
        body = json.loads((folder / HEAD_NAME).read_bytes())
        if body["form"] != _FORM:
            return None
        return Head(
            int(body["first"]), bytes.fromhex(body["base"]), int(body["last"]), bytes.fromhex(body["hash"]),
            int(body["at_ns"]), bytes.fromhex(body["key_id"]), bytes.fromhex(body["signature"]),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


def tail_of(folder: Path) -> Tail:
    """Where a log ends: behind its last line that is whole."""
    for first, path in reversed(log_files(folder)):
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if whole:
            line = whole[:-1].rsplit(b"\n", 1)[-1]
            entry = _parse(line)
            number = entry.number if entry is not None else first + whole.count(b"\n") - 1
            return Tail(path, len(whole), number, hashlib.sha256(line).digest())
    head = read_head(folder)
    return Tail(None, 0, head.last, head.hash) if head is not None else Tail(None, 0, 0, GENESIS)


def newest_first(folder: Path, before: int | None = None) -> Iterator[Entry]:
    """Entries from the newest on; with `before`, from the one before that number. Lines that are none are left out."""
    for first, path in reversed(log_files(folder)):
        if before is not None and first >= before:
            continue
        try:
            lines = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return  # the bound took it meanwhile
        for line in reversed(lines[:-1]):
            entry = _parse(line)
            if entry is not None and (before is None or entry.number < before):
                yield entry


def verify_log(folder: Path, is_signed: Callable[[bytes, bytes, bytes], bool] | None = None) -> LogReport:
    """Whether every line of a log is there as it was written. OSError if the folder cannot be read.

    `is_signed(key id, signature, data)` judges the head's signature; without it, it is not judged. The log may grow
    meanwhile.
    """
    head = read_head(folder)
    findings: list[str] = []
    if head is not None and is_signed is not None:
        if not head.signature:
            findings.append("the head is not signed")
        elif not is_signed(head.key_id, head.signature, head.statement(head.key_id)):
            findings.append("the signature of the head is not of a known key")
    files = log_files(folder)
    if head is None:
        if files:
            findings.append("the head is missing or cannot be read")
        head = Head(1, GENESIS, 0, GENESIS, 0)
    entries = missing = 0
    number, previous = head.first - 1, head.base
    hash_at_head = previous if head.last == number else b""
    for first, path in files:
        if first < head.first:
            continue  # about to be removed: its bound was reached
        for line in path.read_bytes().split(b"\n")[:-1]:
            entry = _parse(line)
            if entry is None:
                findings.append(f"the line behind number {number} in {path.name} is no entry")
                number, previous = number + 1, hashlib.sha256(line).digest()
                continue
            if entry.number != number + 1:
                findings.append(f"number {entry.number} follows number {number}")
            elif json.loads(line)["previous"] != previous.hex():
                findings.append(f"number {number} is not what number {entry.number} was written behind")
            number, previous = entry.number, hashlib.sha256(line).digest()
            if number == head.last:
                hash_at_head = previous
            entries += 1
            missing += entry.missing
    if number < head.last:
        findings.append(f"numbers {number + 1} to {head.last} are missing at the end")
    elif hash_at_head != head.hash:
        findings.append(f"number {head.last} is not the one that the head names")
    return LogReport(entries, missing, tuple(findings), head.key_id)


def _parse(line: bytes) -> Entry | None:
    try:
        body = json.loads(line)
        entry = Entry(
            body["n"], body["at_ns"], body["principal"], body["action"], body["camera"], body["from_ns"],
            body["to_ns"], body["detail"], body.get("missing", 0),
        )  # fmt: skip
        numbers = (entry.number, entry.at_ns, entry.from_ns, entry.to_ns, entry.missing)
        texts = (entry.principal, entry.action, entry.camera, entry.detail, body["previous"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    well_formed = all(isinstance(one, int) for one in numbers) and all(isinstance(one, str) for one in texts)
    return entry if well_formed else None
