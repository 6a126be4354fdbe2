"""Peers that tests need and PyPI does not have: GStreamer, ffmpeg, tmux, VLC, mosquitto, chromium, Go, MongoDB.

`require("rtsp")` skips the test with the command that would provide the peer; if TRUEFRAME_REQUIRE lists it, the test
fails instead. `shared("footage/…")` does the same for clips that are too large for the repository ("footage").
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from tests.mongodb_server import has_mongodb
from tests.support import until

ROOT = Path(__file__).resolve().parent.parent
DEBIAN_PYTHON = "/usr/bin/python3"
_PROVIDED_BY = "make deps-real"
# Too large for what every submission installs.
_PROVIDED_OTHERWISE = {
    "namespace": "sudo sysctl kernel.unprivileged_userns_clone=1",
    "mounts": "sudo sysctl kernel.unprivileged_userns_clone=1",
    "chromium": "sudo apt-get install chromium",
    # Debian 12 has 1.19, which knows no tools in go.mod.
    "go": "curl -sL https://go.dev/dl/go1.26.8.linux-amd64.tar.gz | sudo tar -xzC /usr/local",
}
_PROGRAMS = {
    "ffmpeg": ("ffmpeg", "ffprobe"),
    "tmux": ("tmux",),
    "vlc": ("cvlc", "setpriv"),
    "mosquitto": ("mosquitto",),
    "chromium": ("chromium",),
    "go": ("go",),
}
# Where Go's own archive is unpacked to, by its instructions; and where Debian puts servers.
SERVER_PATH = os.environ.get("PATH", "") + ":/usr/local/go/bin:/usr/sbin"
_PROBE = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
missing = [n for n in (
    "h264parse", "rtph264pay", "h265parse", "rtph265pay", "jpegparse", "rtpjpegpay", "multipartmux", "multifdsink",
    "appsrc", "rtpmp4gpay",
) if Gst.ElementFactory.find(n) is None]
raise SystemExit(", ".join(missing) or 0)
"""


def require(peer: str) -> None:
    """Skips the test unless the peer (rtsp, ffmpeg, tmux, vlc, mosquitto, chromium, go, mongodb) is there.

    Fails instead if TRUEFRAME_REQUIRE lists it.
    """
    missing = _missing(peer)
    if not missing:
        return
    _skip(peer, f"needs {missing}; `{_PROVIDED_OTHERWISE.get(peer, _PROVIDED_BY)}` installs it")


def _skip(peer: str, text: str) -> NoReturn:
    if peer in os.environ.get("TRUEFRAME_REQUIRE", "").split(","):
        pytest.fail(text)
    pytest.skip(text)


@functools.cache
def _missing(peer: str) -> str:
    if peer in _PROGRAMS:
        return ", ".join(program for program in _PROGRAMS[peer] if shutil.which(program, path=SERVER_PATH) is None)
    if peer == "namespace":
        if missing := [program for program in ("unshare", "ip") if shutil.which(program) is None]:
            return ", ".join(missing)
        probe = subprocess.run(
            ["unshare", "-n", "-r", "ip", "link", "set", "lo", "up"], capture_output=True, timeout=60, check=False
        )
        return "" if probe.returncode == 0 else "network namespaces for ordinary users"
    if peer == "mounts":
        if shutil.which("unshare") is None:
            return "unshare"
        probe = subprocess.run(
            ["unshare", "-m", "-r", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
            capture_output=True,
            timeout=60,
            check=False,
        )
        return "" if probe.returncode == 0 else "mount namespaces for ordinary users"
    if peer == "mongodb":
        return "" if has_mongodb() else "a server of MongoDB's wire protocol (or TRUEFRAME_TEST_MONGODB_URL)"
    if peer != "rtsp":
        raise ValueError(f"unknown peer {peer!r}")
    if not Path(DEBIAN_PYTHON).exists():
        return "GStreamer's RTSP server and Debian's python3"
    probe = subprocess.run([DEBIAN_PYTHON, "-c", _PROBE], capture_output=True, timeout=60, check=False)
    return "" if probe.returncode == 0 else "GStreamer's RTSP server"


def shared(name: str) -> Path:
    """A clip of the folder beside the repository, or of the one TRUEFRAME_SHARED names; skips the test without it."""
    for folder in (os.environ.get("TRUEFRAME_SHARED", ""), str(ROOT.parent / "shared")):
        if folder and (Path(folder) / name).exists():
            return Path(folder) / name
    _skip("footage", f"needs {name}; `TRUEFRAME_SHARED=FOLDER make test` says in which folder it is")


class GstreamerServer:
    """GStreamer's RTSP server, serving files in a loop. `start` after `stop` takes the same port."""

    def __init__(self, files: Mapping[str, Path], user: str = "", password: str = "") -> None:
        self._files = files
        self._environment = {**os.environ, "PYTHONPATH": sysconfig.get_paths()["platlib"]}
        if user:
            self._environment |= {"RTSP_USER": user, "RTSP_PASS": password}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def url(self, name: str, credentials: str = "") -> str:
        """Where a file is served."""
        return f"rtsp://{credentials + '@' if credentials else ''}127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Starts the server and waits until it accepts connections."""
        script = ROOT / "tests" / "rtsp_loop_server.py"
        files = [f"{name}={path}" for name, path in self._files.items()]
        with tempfile.TemporaryFile() as output:
            self._process = subprocess.Popen(
                [DEBIAN_PYTHON, str(script), str(self.port), *files],
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        until(self._accepts, 30, "the RTSP server accepts connections")

    def stop(self) -> None:
        """Kills the server: cameras are not polite either."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _accepts(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the RTSP server ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


@contextlib.contextmanager
def gstreamer(files: Mapping[str, Path], user: str = "", password: str = "") -> Iterator[GstreamerServer]:
    """A running GStreamer RTSP server; skips the test where there is none."""
    require("rtsp")
    server = GstreamerServer(files, user, password)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
