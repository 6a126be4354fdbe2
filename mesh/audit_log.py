"""Writing a log whose lines are bound to each other: the one writer thread, its files, their bound, its head.

What belongs here: how lines reach the disk. What does not: reading and verifying (`audit_book`), what a line says.

    NAME-<number of its first line>.jsonl    one object a line; `previous` is the SHA-256 of the line before it
    head.json                                how far the log is, and from where on it is kept, signed

`append` never blocks and never fails: lines wait in a bounded queue. A disk that refuses is tried again; what does not
fit into the queue is counted, and the next line that is written says how many are `missing`. Who must know that a line
is on the disk waits for the future that `append` gives.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from mesh.audit_book import GENESIS, HEAD_NAME, Form, Head, Tail, file_name, hash_of, log_files, read_head, tail_of
from mesh.clocks import Clock
from mesh.files import private_folder, sync_folder, write_private
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter

log = get_logger("mesh.audit_log")

DEFAULT_MAX_BYTES = 256 << 20
_QUEUE = 10_000
_FILE_BYTES = 8 << 20
_ROUND_S = 0.25

_recorded = counter("audit_recorded", "Entries that were written to a log of accesses or of changes.", ("log",))
_missed = counter("audit_missed", "Entries that a log of accesses or of changes could not take.", ("log",))

Sign = Callable[[Callable[[bytes], bytes]], tuple[bytes, bytes]]
"""As `FootageSigner.sign`: asks for the bytes for a key id, returns the id and the signature."""


class ChainLog:
    """The only writer of a log. Use it as a context manager: leaving it writes what waits."""

    def __init__(
        self, form: Form, folder: Path, clock: Clock, sign: Sign | None = None, *, max_bytes: int = DEFAULT_MAX_BYTES,
        file_bytes: int = _FILE_BYTES, queue: int = _QUEUE,
    ) -> None:  # fmt: skip
        """`folder` is made if it is not there. `sign`: None leaves heads unsigned. Raises OSError, PermissionDenied."""
        self.form = form
        self.folder = private_folder(folder)
        self._clock = clock
        self._sign = sign
        self._max_bytes = max_bytes
        self._file_bytes = file_bytes
        self._queue_limit = queue
        self._waiting: deque[tuple[dict[str, Any], Future[None]]] = deque()
        self._is_urgent = False
        self._missing = 0
        self._wake = threading.Condition()
        self._is_ending = False
        self._tail = _opened(form, self.folder)
        self._thread = threading.Thread(target=self._run, name=f"{form.name}-log", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._wake:
            self._is_ending = True
            self._wake.notify_all()
        self._thread.join()

    def append(self, entry: dict[str, Any], *, is_urgent: bool = False) -> Future[None]:
        """Adds an entry, with the present time. Returns at once, from any thread.

        The future is done when it is on the disk; cancelled when there was no room for it. `is_urgent`: somebody waits.
        """
        body = {"at_ns": self._clock.utc_ns(), **entry}
        written: Future[None] = Future()
        with self._wake:
            if len(self._waiting) >= self._queue_limit:
                self._missing += 1
                _missed.labels(self.form.name).inc()
                written.cancel()
                return written
            self._waiting.append((body, written))
            self._is_urgent = self._is_urgent or is_urgent
            self._wake.notify_all()
        return written

    @property
    def is_full(self) -> bool:
        """Whether nothing more fits until the disk takes what waits."""
        return len(self._waiting) >= self._queue_limit

    @property
    def waits_since_ns(self) -> int:
        """UTC nanoseconds of the oldest entry that is not on the disk; 0 if all are."""
        with self._wake:
            return int(self._waiting[0][0]["at_ns"]) if self._waiting else 0

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Waits until everything recorded so far is on disk; False if that took longer than allowed."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._waiting, timeout_s)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._is_ending)
                batch = list(self._waiting)
                self._is_urgent = False
                missing = self._missing
                is_ending = self._is_ending
            is_written = not batch or self._write([body for body, _ in batch], missing)
            with self._wake:
                if is_written:
                    for _, written in batch:
                        self._waiting.popleft()
                        if written.set_running_or_notify_cancel():
                            written.set_result(None)
                    self._missing -= missing
                    self._wake.notify_all()
                if is_ending and (not self._waiting or not is_written):
                    return
                # One sync serves all that come within a round; a disk that refuses is not asked all the time.
                self._wake.wait_for(self._is_hurried if is_written else self._ends, _ROUND_S)

    def _is_hurried(self) -> bool:
        return self._is_ending or self._is_urgent

    def _ends(self) -> bool:
        return self._is_ending

    def _write(self, batch: list[dict[str, Any]], missing: int) -> bool:
        """Appends a batch durably; False if the disk refused, and then nothing of it counts."""
        tail = self._tail
        lines: list[bytes] = []
        number, previous = tail.number, tail.hash
        for entry in batch:
            number += 1
            body = {"n": number, **entry, "previous": previous.hex()}
            if missing:
                body["missing"] = missing
                missing = 0
            line = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            previous = hashlib.sha256(line).digest()
            lines.append(line + b"\n")
        try:
            path, size = self._place(tail)
            _append(path, size, b"".join(lines))
            if size == 0:
                sync_folder(self.folder)
            self._tail = Tail(path, size + sum(map(len, lines)), number, previous)
            first, base = self._drop_oldest()
            self._write_head(first, base)
        except OSError as error:
            if rate_limited(f"{self.form.name} log", 10):
                log.error(
                    "entries cannot be written to their log",
                    log=self.form.name,
                    reason=error.strerror,
                    waiting=len(batch),
                )
            return self._tail is not tail
        _recorded.labels(self.form.name).inc(len(batch))
        return True

    def _place(self, tail: Tail) -> tuple[Path, int]:
        """The file that the next line goes to, and its size."""
        if tail.path is not None and tail.size < self._file_bytes:
            return tail.path, tail.size
        return self.folder / file_name(self.form, tail.number + 1), 0

    def _drop_oldest(self) -> tuple[int, bytes]:
        """Removes the oldest files beyond the bound; the number of the first line kept and the hash before it."""
        head = read_head(self.form, self.folder)
        first, base = (head.first, head.base) if head is not None else (1, GENESIS)
        files = log_files(self.form, self.folder)
        sizes = {path: path.stat().st_size for _, path in files}
        total = sum(sizes.values())
        for (_, path), (following, kept) in itertools.pairwise(files):
            if total <= self._max_bytes:
                break
            with kept.open("rb") as file:
                entry = self.form.parse(file.readline())
            # Of a damaged line nobody knows what it was written behind: verifying names it, and writing goes on.
            first, base = following, _hash_in(entry["previous"]) if entry is not None else GENESIS
            # First the head, so that a removal is never taken for a loss.
            self._write_head(first, base)
            path.unlink()
            total -= sizes[path]
        return first, base

    def _write_head(self, first: int, base: bytes) -> None:
        head = Head(self.form.head, first, base, self._tail.number, self._tail.hash, self._clock.utc_ns())
        if self._sign is not None:
            head = head.signed(*self._sign(head.statement))
        write_private(self.folder / HEAD_NAME, head.encode())


def _hash_in(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return GENESIS


def _append(path: Path, size: int, data: bytes) -> None:
    """Writes behind the first `size` bytes of a file, durably; nothing of it stays if the disk refuses."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.ftruncate(fd, size)
            written = 0
            while written < len(data):
                written += os.pwrite(fd, memoryview(data)[written:], size + written)
            os.fdatasync(fd)
        except OSError:
            os.ftruncate(fd, size)
            raise
    finally:
        os.close(fd)


def _opened(form: Form, folder: Path) -> Tail:
    """Where the log of a folder ends; a torn last line, which never counted, is trimmed and named.

    Where the line that the head names is not there as it was, the next one is bound to the head: what is missing or was
    altered while nobody wrote stays a finding, rather than being signed with the next head.
    """
    tail = tail_of(form, folder)
    if tail.path is not None and tail.path.stat().st_size > tail.size:
        trimmed = tail.path.stat().st_size - tail.size
        log.warning("torn end of a log trimmed", file=tail.path.name, trimmed_bytes=trimmed)
        os.truncate(tail.path, tail.size)
    head = read_head(form, folder)
    if head is not None and hash_of(form, folder, head.last) != head.hash:
        log.error("end of a log is not as it was written", log=form.name, head=head.last, found=tail.number)
        return replace(tail, number=max(tail.number, head.last), hash=head.hash)
    return tail
