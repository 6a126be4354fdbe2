"""The access log as it is read: entries newest first, and whether the log is whole. Files only, nothing is written.

What does not belong here: how its lines are bound (`mesh.audit_book`), writing (`access_log`) and whose entries a
caller may see (`service_custody`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mesh import audit_book
from mesh.audit_book import HEAD_NAME, Form, Head, LogReport

__all__ = ["ACCESS", "HEAD_NAME", "Entry", "log_files", "newest_first", "read_head", "verify_log"]

ACCESS = Form("access", ("from_ns", "to_ns"), ("principal", "action", "camera", "detail"))


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


def log_files(folder: Path) -> list[tuple[int, Path]]:
    """As `audit_book.log_files`, of an access log."""
    return audit_book.log_files(ACCESS, folder)


def read_head(folder: Path) -> Head | None:
    """The head of an access log; None if there is none that can be read."""
    return audit_book.read_head(ACCESS, folder)


def newest_first(folder: Path, before: int | None = None) -> Iterator[Entry]:
    """Entries from the newest on; with `before`, from the one before that number. Lines that are none are left out."""
    for line in audit_book.newest_first(ACCESS, folder, before):
        yield Entry(
            line["n"], line["at_ns"], line["principal"], line["action"], line["camera"], line["from_ns"],
            line["to_ns"], line["detail"], line.get("missing", 0),
        )  # fmt: skip


def verify_log(folder: Path, is_signed: Callable[[bytes, bytes, bytes], bool] | None = None) -> LogReport:
    """As `audit_book.verify_log`, of an access log."""
    return audit_book.verify_log(ACCESS, folder, is_signed)
