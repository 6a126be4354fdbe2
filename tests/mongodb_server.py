"""A real server of MongoDB's wire protocol for tests: the one that is named, mongod, or FerretDB on SQLite.

TRUEFRAME_TEST_MONGODB_URL names a server that is running; then `mongod` or `ferretdb` on PATH is started, or the
FerretDB that `make deps-real` builds. FerretDB has no replica set, and no index on lists: its speed says nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import until

_CACHED = Path.home() / ".cache" / "trueframe" / "ferretdb-1.24.2" / "ferretdb"
NAMED = os.environ.get("TRUEFRAME_TEST_MONGODB_URL", "")


def _program() -> tuple[str, str]:
    """Kind ("mongod", "ferretdb") and path of the program to start; two empty texts if there is none."""
    for kind in ("mongod", "ferretdb"):
        if found := shutil.which(kind):
            return kind, found
    return ("ferretdb", str(_CACHED)) if _CACHED.exists() else ("", "")


def has_mongodb() -> bool:
    """Whether there is a server, or a program to start one."""
    return bool(NAMED or _program()[1])


class MongoServer:
    """A server of our own on a free port, that can be killed, stopped and started again with its data."""

    def __init__(self, folder: Path, arguments: Sequence[str] = (), *, tls: bool = False) -> None:
        self._folder = folder
        self._arguments = arguments
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"mongodb://127.0.0.1:{self.port}/"

    @property
    def is_ferretdb(self) -> bool:
        """Whether arguments of FerretDB mean something to it."""
        return _program()[0] == "ferretdb"

    def start(self) -> None:
        """Starts it and waits until it accepts connections."""
        self._folder.mkdir(parents=True, exist_ok=True)
        kind, program = _program()
        if not program:
            pytest.skip("needs a server that it may kill: mongod or ferretdb on PATH, or `make deps-real`")
        place = f"127.0.0.1:{self.port}"
        if kind == "mongod":
            command = [program, "--dbpath", str(self._folder), "--port", str(self.port), "--bind_ip", "127.0.0.1"]
        else:
            command = [
                program, "--handler=sqlite", f"--sqlite-url=file:{self._folder}/", f"--state-dir={self._folder}",
                f"--listen-tls={place}" if self._tls else f"--listen-addr={place}", "--debug-addr=-",
                "--telemetry=disable", "--log-level=error", *(["--listen-addr="] if self._tls else []),
            ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*command, *self._arguments], stdout=log, stderr=subprocess.STDOUT)
        until(self._accepts, 30, "the MongoDB server accepts connections")

    def kill(self) -> None:
        """Kills it, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self, is_paused: bool) -> None:
        """Stops it from answering while its connections stay, or lets it go on."""
        assert self._process is not None
        self._process.send_signal(19 if is_paused else 18)

    def _accepts(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the server ended: {(self._folder / 'log').read_text()[-500:]}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False
