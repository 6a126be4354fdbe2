"""The relay's peer, run: GStreamer's RTSP server restreams the same cameras to as many viewers of each.

What does not belong here: the pipeline (peer/restream_gst.py), the comparison (`relay`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import Child, Instance

SOURCE = Path(__file__).parent / "peer" / "restream_gst.py"
DEBIAN_PYTHON = "/usr/bin/python3"
NAME = "GStreamer rtspsrc ! rtph264depay ! rtph264pay, gst-rtsp-server, shared media, RTP over TCP, no transcoding"
_PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
_WARM_UP_S = 5.0


def is_there() -> bool:
    """Whether GStreamer's server and its Python binding are installed (`make deps-real`)."""
    try:
        return subprocess.run([DEBIAN_PYTHON, "-c", _PROBE], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run_peer(made: Instance, urls: dict[str, str], viewers: int, seconds: float) -> dict[str, Any]:
    """Restreams; returns `core` (CPU of the restreamer), `units` delivered to all viewers, and `rss_bytes`."""
    sources = made.folder / "sources.json"
    sources.write_text(json.dumps(urls))
    log = (made.folder / "restream.log").open("wb")
    server = Child(
        "restreamer",
        subprocess.Popen([DEBIAN_PYTHON, str(SOURCE), str(sources)], stdout=subprocess.PIPE, stderr=log, text=True),
    )
    made.children.append(server)
    assert server.process.stdout is not None
    port = server.process.stdout.readline().strip()
    if not port:
        raise SystemExit(f"the restreamer ended: {(made.folder / 'restream.log').read_text()[-1000:]}")
    restreamed = made.folder / "restreamed.json"
    restreamed.write_text(json.dumps({camera: f"rtsp://127.0.0.1:{port}/{camera}" for camera in urls}))
    command = [sys.executable, "-m", "benchmarks.rtsp_viewer", str(restreamed), "--warm-up", str(_WARM_UP_S)]
    started = []
    for number in range(viewers):
        process = subprocess.Popen([*command, "--seconds", str(seconds)], stdout=subprocess.PIPE, text=True)
        started.append(Child(f"viewer-{number}", process))
        made.children.append(started[-1])
        # One after the other: the first one makes the server connect to every camera.
        assert process.stdout is not None
        if process.stdout.readline() != "started\n":
            raise SystemExit(f"the restreamer does not play: {(made.folder / 'restream.log').read_text()[-1000:]}")
    time.sleep(_WARM_UP_S)
    cpu_us, clock_s = server.cpu_us(), time.monotonic()
    time.sleep(seconds - 1.0)
    cpu_us, clock_s = server.cpu_us() - cpu_us, time.monotonic() - clock_s
    rss_bytes = server.rss_bytes()
    units = sum(json.loads(child.process.communicate(timeout=60)[0])["units"] for child in started)
    server.stop()
    return {"core": cpu_us / clock_s / 1e6, "units": units, "rss_bytes": rss_bytes}
