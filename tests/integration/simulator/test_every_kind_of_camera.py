"""Fifty kinds of cameras through one broker: each is live, and what comes is what was sent, in one epoch."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from pathlib import Path

import pytest

from broker.client import EpochStarted, Gap, SyncBrokerClient, WireFrame
from simulator.testing import Simulator, running
from tests.broker_process import running_broker
from tests.support import until
from trueframe.v1.cameras_pb2 import CAMERA_STATE_REFUSED
from trueframe.v1.frames_pb2 import CODEC_H264, CODEC_H265, CODEC_MJPEG

KINDS = (
    "",
    "codec=h265",
    "codec=mjpeg",
    "bframes=2",
    "codec=h265,bframes=2,aggregate,mtu=300",
    "aggregate,mtu=200",
    "transport=udp",
    "transport=udp,bframes=2",
    "transport=udp,codec=h265,bframes=2",
    "transport=udp,codec=mjpeg,restart=4",
    "transport=tcp,audio=aac",
    "transport=udp,audio=pcmu,codec=h265",
    "sets=sdp,bframes=2",
    "sets=sdp,codec=h265",
    "sets=stream",
    "sets=stream,codec=h265,bframes=1",
    "codec=mjpeg,jpeg_q=50",
    "codec=mjpeg,jpeg_q=200",
    "codec=mjpeg,jpeg_type=0,restart=7",
    "codec=mjpeg,sloppy=no-rtpmap",
    "scheme=rtsps",
    "scheme=rtsps,codec=h265,audio=aac",
    "codec=mjpeg,scheme=http",
    "codec=mjpeg,scheme=https,size=320x192",
    "codec=mjpeg,scheme=http,sloppy=no-length+lf-parts,boundary=odd",
    "codec=mjpeg,scheme=http,sloppy=chunked+junk,boundary=dashes",
    "codec=mjpeg,scheme=http,sloppy=lf+case,boundary=quoted",
    "codec=mjpeg,scheme=http,redirect=path",
    "codec=mjpeg,scheme=http,redirect=port,auth=digest",
    "codec=mjpeg,scheme=http,auth=basic",
    "redirect=path",
    "redirect=port,auth=digest",
    "auth=basic",
    "auth=digest-qop",
    "auth=digest-sha256",
    "auth=digest-stale",
    "auth=both",
    "keepalive=options,timeout_s=4",
    "keepalive=get_parameter,timeout_s=4",
    "sloppy=base",
    "sloppy=base-path",
    "sloppy=no-control+no-base",
    "sloppy=no-cseq+case",
    "sloppy=lf",
    "sloppy=no-rtpinfo+no-transport-ports",
    "sloppy=junk+junk-bytes",
    "marker=no",
    "marker=no,codec=h265",
    "marker=no,codec=mjpeg",
    "onvif=yes,clock_offset_s=3,drift_ppm=200",
    "gop_s=5,claims_fps=99",
)
"""What an ordinary buyer finds on the market, and each of which has to work."""
REFUSED = {
    "redirect=loop": "in circles",
    "scheme=rtsps,redirect=plain": "not encrypted",
    "redirect=tls": "certificate",
}
LOGIN = "anna:s3cret"
UNITS = 45


def with_login(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{LOGIN}@{rest}"


class Reader(threading.Thread):
    """Everything a lossless subscriber is told."""

    def __init__(self, client: SyncBrokerClient) -> None:
        super().__init__(daemon=True)
        self._stream = client.stream(all_cameras=True, subscriber="reader", reconnect=False)
        self.frames: dict[str, list[WireFrame]] = defaultdict(list)
        self.gaps: dict[str, list[Gap]] = defaultdict(list)
        self.codecs: dict[str, list[int]] = defaultdict(list)
        self.is_over = False

    def run(self) -> None:
        for item in self._stream:
            if isinstance(item, WireFrame):
                self.frames[item.camera].append(item)
            elif isinstance(item, Gap):
                self.gaps[item.camera].append(item)
            elif isinstance(item, EpochStarted):
                self.codecs[item.camera].append(item.codec)
            if self.is_over:
                return


def differences(sim: Simulator, camera: str, kind: str, reader: Reader) -> list[str]:
    """What is not as it was sent."""
    frames, sent = list(reader.frames[camera]), [unit.digest for unit in sim.log(camera)]
    found = []
    if len(frames) < UNITS:
        found.append(f"only {len(frames)} frames")
    if reader.gaps[camera]:
        found.append(f"gaps: {reader.gaps[camera]}")
    if len({frame.epoch for frame in frames}) > 1:
        found.append("several epochs")
    if any(frame.damaged or frame.follows_damage for frame in frames):
        found.append("damage")
    if frames and frames[0].digest in sent:
        first = sent.index(frames[0].digest)
        if [frame.digest for frame in frames] != sent[first : first + len(frames)]:
            found.append("other bytes, or another order")
    elif frames:
        found.append("the first frame was never sent")
    if any(hashlib.sha256(frame.payload).digest() != frame.digest for frame in frames):
        found.append("payloads do not match their digests")
    wanted = CODEC_MJPEG if "mjpeg" in kind else CODEC_H265 if "h265" in kind else CODEC_H264
    if set(reader.codecs[camera]) != {wanted}:
        found.append(f"announced as {reader.codecs[camera]}")
    return [f"{camera} ({kind or 'ordinary'}): {one}" for one in found]


@pytest.mark.timeout(240)
def test_fifty_kinds_of_cameras_come_through_whole_and_three_are_refused_with_the_reason(tmp_path: Path) -> None:
    kinds = dict(zip((f"cam-{number}" for number in range(1, 100)), [*KINDS, *REFUSED], strict=False))
    arguments = ("--auth", LOGIN, "--scenes", "yard")
    traits = {"*": "auth=none", **{camera: kind for camera, kind in kinds.items() if kind}}
    with (
        running(len(kinds), loop_s=10, size="160x96", traits=traits, arguments=arguments) as sim,
        running_broker(tmp_path / "data") as broker,
        broker.sync_client() as client,
    ):
        reader = Reader(client)
        reader.start()
        for camera, kind in kinds.items():
            transport = "udp" if "transport=udp" in kind else "auto"
            is_encrypted = sim.urls[camera].startswith(("rtsps", "https"))
            fingerprint = sim.tls_sha256 if is_encrypted else ""
            client.add_camera(camera, with_login(sim.urls[camera]), transport=transport, tls_sha256=fingerprint)
        playing = [camera for camera, kind in kinds.items() if kind not in REFUSED]
        until(lambda: all(len(reader.frames[camera]) >= UNITS for camera in playing), 120, "all are live")
        cameras = {camera.spec.id: camera for camera in client.list_cameras()}
        reader.is_over = True
        reader.join(20)
        found = [one for camera in playing for one in differences(sim, camera, kinds[camera], reader)]
    assert found == []
    for camera, kind in kinds.items():
        used = cameras[camera].transport_used
        if kind in REFUSED:
            assert cameras[camera].state == CAMERA_STATE_REFUSED
            assert REFUSED[kind] in cameras[camera].detail
        elif "scheme=" in kind:
            assert used == {"rtsps": "tls"}.get(kind.partition("scheme=")[2].partition(",")[0], used)
        else:
            assert used == ("udp" if "transport=udp" in kind else "tcp")
