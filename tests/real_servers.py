"""Servers that are not ours beside GStreamer's RTSP server: VLC (RTSP over UDP alone), Motion JPEG over HTTP.

`real_peers` says what is installed; here they are run. VLC refuses to run as root and is then run as nobody.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.real_peers import DEBIAN_PYTHON, ROOT, free_port, require
from tests.support import until

_NOBODY = 65534


@contextlib.contextmanager
def mjpeg_http(files: Mapping[str, Path]) -> Iterator[str]:
    """GStreamer's multipartmux behind an HTTP server; yields the URL that the names are appended to."""
    require("rtsp")
    port = free_port()
    command = [DEBIAN_PYTHON, str(ROOT / "tests" / "mjpeg_http_server.py"), str(port)]
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_paths()["platlib"]}
    with _running([*command, *(f"{name}={path}" for name, path in files.items())], port, environment):
        yield f"http://127.0.0.1:{port}/"


@contextlib.contextmanager
def vlc(path: Path) -> Iterator[str]:
    """VLC that serves one file in a loop, without transcoding; yields its URL. It has no RTP over TCP."""
    require("vlc")
    port = free_port()
    command = [
        "cvlc", "--quiet", "--no-audio", "--input-repeat=65535", str(path),
        f"--sout=#rtp{{sdp=rtsp://127.0.0.1:{port}/clip}}",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="tf-vlc-") as home:
        if os.geteuid() == 0:
            os.chown(home, _NOBODY, _NOBODY)
            command = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", *command]
            # pytest's folders are the owner's alone; VLC reads a copy.
            copy = Path(home) / path.name
            copy.write_bytes(path.read_bytes())
            command[command.index(str(path))] = str(copy)
        with _running(command, port, {**os.environ, "HOME": home}):
            yield f"rtsp://127.0.0.1:{port}/clip"


@contextlib.contextmanager
def _running(command: list[str], port: int, environment: Mapping[str, str]) -> Iterator[None]:
    """A process that is waited for until it listens, and killed at the end: cameras are not polite either."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            until(lambda: _accepts(process, port), 30, f"{command[0]} accepts connections")
            yield
        finally:
            process.kill()
            process.wait()


def _accepts(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, f"the server ended with status {process.returncode}"
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
