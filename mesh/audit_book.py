"""Logs of JSON lines that are bound to each other, as they are read: newest first, and whether one is whole.

Each line holds the SHA-256 of the one before it; a signed head says how far the log is and from where on it is kept.
Files only, nothing is written. What does not belong here: writing (`audit_log`), what a line says (`audit`, and the
access log of the media center), and who may read it.
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

Line = dict[str, Any]
"""One entry: `n`, `at_ns` (UTC nanoseconds), `previous`, and what its log says of it. `missing`: see `audit_log`."""


@dataclass(frozen=True, slots=True)
class Form:
    """What the lines of a kind of log have to be. `numbers` and `texts`: fields that every line has."""

    name: str
    """Its files are called so, and its heads are signed as those of a `trueframe-NAME-1`."""
    numbers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        """What its head calls itself."""
        return f"trueframe-{self.name}-1"

    def parse(self, line: bytes) -> Line | None:
        """The entry of a line; None if it is none."""
        try:
            body = json.loads(line)
            numbers = (*(body[name] for name in ("n", "at_ns", *self.numbers)), body.get("missing", 0))
            texts = [body[name] for name in ("previous", *self.texts)]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        well_formed = all(isinstance(one, int) for one in numbers) and all(isinstance(one, str) for one in texts)
        return body if well_formed else None


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

    form: str
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
        return self.form.encode() + b"\0" + json.dumps(self._body(key_id), sort_keys=True).encode()

    def signed(self, key_id: bytes, signature: bytes) -> Head:
        """The same with a signature."""
        return replace(self, key_id=key_id, signature=signature)

    def encode(self) -> bytes:
        """As it stands in the file."""
        return json.dumps(self._body(self.key_id) | {"signature": self.signature.hex()}, indent=1).encode() + b"\n"

    def _body(self, key_id: bytes) -> dict[str, Any]:
        return {
            "form": self.form, "first": self.first, "base": self.base.hex(), "last": self.last, "hash": self.hash.hex(),
            "at_ns": self.at_ns, "key_id": key_id.hex(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class LogReport:
    """What verifying a log found."""

    entries: int
    missing: int
    """Entries that the log itself says it could not write."""
    findings: tuple[str, ...]
    """One sentence each; none means that every line is there as it was written."""
    signer: bytes
    """Key id of the head's signature; empty if it is not signed."""


def file_name(form: Form, first: int) -> str:
    """The name of the file whose first line has that number."""
    return f"{form.name}-{first:012d}.jsonl"


def log_files(form: Form, folder: Path) -> list[tuple[int, Path]]:
    """Files of a log with the number of their first line, oldest first. OSError if the folder cannot be read."""
    named = re.compile(rf"{re.escape(form.name)}-(\d{{12}})\.jsonl")
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := named.fullmatch(path.name))]
    return sorted(found)


def read_head(form: Form, folder: Path) -> Head | None:
    """The head of a log; None if there is none that can be read."""
    try:
        body = json.loads((folder / HEAD_NAME).read_bytes())
        if body["form"] != form.head:
            return None
        return Head(
            form.head, int(body["first"]), bytes.fromhex(body["base"]), int(body["last"]), bytes.fromhex(body["hash"]),
            int(body["at_ns"]), bytes.fromhex(body["key_id"]), bytes.fromhex(body["signature"]),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


def tail_of(form: Form, folder: Path) -> Tail:
    """Where a log ends: behind its last line that is whole."""
    for first, path in reversed(log_files(form, folder)):
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if whole:
            line = whole[:-1].rsplit(b"\n", 1)[-1]
            entry = form.parse(line)
            number = entry["n"] if entry is not None else first + whole.count(b"\n") - 1
            return Tail(path, len(whole), number, hashlib.sha256(line).digest())
    head = read_head(form, folder)
    return Tail(None, 0, head.last, head.hash) if head is not None else Tail(None, 0, 0, GENESIS)


def hash_of(form: Form, folder: Path, number: int) -> bytes:
    """Hash of the line of that number; empty if there is none."""
    for first, path in reversed(log_files(form, folder)):
        if first <= number:
            for line in reversed(path.read_bytes().split(b"\n")[:-1]):
                entry = form.parse(line)
                if entry is not None and entry["n"] == number:
                    return hashlib.sha256(line).digest()
            break
    return b""


def newest_first(form: Form, folder: Path, before: int | None = None) -> Iterator[Line]:
    """Entries from the newest on; with `before`, from the one before that number. Lines that are none are left out."""
    for first, path in reversed(log_files(form, folder)):
        if before is not None and first >= before:
            continue
        try:
            lines = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return  # the bound took it meanwhile
        for line in reversed(lines[:-1]):
            entry = form.parse(line)
            if entry is not None and (before is None or entry["n"] < before):
                yield entry


def verify_log(form: Form, folder: Path, is_signed: Callable[[bytes, bytes, bytes], bool] | None = None) -> LogReport:
    """Whether every line of a log is there as it was written. OSError if the folder cannot be read.

    `is_signed(key id, signature, data)` judges the head's signature; without it, it is not judged. The log may grow
    meanwhile.
    """
    head = read_head(form, folder)
    findings: list[str] = []
    if head is not None and is_signed is not None:
        if not head.signature:
            findings.append("the head is not signed")
        elif not is_signed(head.key_id, head.signature, head.statement(head.key_id)):
            findings.append("the signature of the head is not of a known key")
    files = log_files(form, folder)
    if head is None:
        if files:
            findings.append("the head is missing or cannot be read")
        head = Head(form.head, 1, GENESIS, 0, GENESIS, 0)
    entries = missing = 0
    number, previous = head.first - 1, head.base
    hash_at_head = previous if head.last == number else b""
    for first, path in files:
        if first < head.first:
            continue  # about to be removed: its bound was reached
        for line in path.read_bytes().split(b"\n")[:-1]:
            entry = form.parse(line)
            if entry is None:
                findings.append(f"the line behind number {number} in {path.name} is no entry")
                number, previous = number + 1, hashlib.sha256(line).digest()
                continue
            if entry["n"] != number + 1:
                findings.append(f"number {entry['n']} follows number {number}")
            elif entry["previous"] != previous.hex():
                findings.append(f"number {number} is not what number {entry['n']} was written behind")
            number, previous = entry["n"], hashlib.sha256(line).digest()
            if number == head.last:
                hash_at_head = previous
            entries += 1
            missing += entry.get("missing", 0)
    if number < head.last:
        findings.append(f"numbers {number + 1} to {head.last} are missing at the end")
    elif hash_at_head != head.hash:
        findings.append(f"number {head.last} is not the one that the head names")
    return LogReport(entries, missing, tuple(findings), head.key_id)
