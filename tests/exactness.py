"""What the exactness proofs share: units taken from each place, where possible by means not our own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from broker.client import FrameId, Gap, SyncBrokerClient, WireFrame
from media_center.client import SyncFootageClient
from simulator import bitstream, counter, jpeg, jpeg_packets
from simulator.clip import Clip
from tests.support import until
from trueframe.v1 import footage_pb2

Digests = dict[int, bytes]
"""SHA-256 of the payload by seq."""
Planes = npt.NDArray[np.uint8]
"""A picture's three planes, one below the other."""


@dataclass
class Live:
    """What a live subscriber got of one camera, in one epoch."""

    epoch: int = 0
    digests: Digests = field(default_factory=dict)
    payloads_kept: dict[int, bytes] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)


def read_live(client: SyncBrokerClient, cameras: list[str], units: int, keep: bool = False) -> dict[str, Live]:
    """Subscribes until every camera gave `units` frames; digests are computed here, over the payloads as they came."""
    found = {camera: Live() for camera in cameras}
    for item in client.stream(cameras, subscriber="exactness"):
        if isinstance(item, Gap):
            found[item.camera].gaps.append(item)
        if not isinstance(item, WireFrame):
            continue
        live = found[item.camera]
        assert live.epoch in (0, item.epoch), f"{item.camera} began a new epoch"
        live.epoch = item.epoch
        if len(live.digests) < units:
            digest = hashlib.sha256(item.payload).digest()
            assert digest == item.digest, f"{item.id} does not match the digest it carries"
            live.digests[item.seq] = digest
            if keep:
                live.payloads_kept[item.seq] = bytes(item.payload)
        if all(len(one.digests) >= units for one in found.values()):
            break
    return found


def wait_recorded(client: SyncFootageClient, camera: str, last: FrameId) -> None:
    """Returns when the footage up to a frame is confirmed on disk."""

    def recorded() -> bool:
        answer = client.recordings([camera])
        return any((r.last.epoch, r.last.seq) >= (last.epoch, last.seq) for r in answer.recordings)

    until(recorded, 30, f"{last} is on disk")


def read_index(client: SyncFootageClient, camera: str, first: FrameId, last: FrameId) -> Digests:
    """Digests as the index tells them."""
    rows = list(client.frames(camera, first, last))
    assert all(isinstance(row, footage_pb2.IndexRow) for row in rows), "there is a gap in the footage"
    return {row.id.seq: row.digest for row in rows if isinstance(row, footage_pb2.IndexRow)}


def read_replay(client: SyncFootageClient, camera: str, first: FrameId, last: FrameId) -> Digests:
    """Digests computed over the replayed payloads."""
    found: Digests = {}
    for item in client.replay(camera, start=first, end=last):
        assert not isinstance(item, Gap), "there is a gap in the replay"
        if isinstance(item, WireFrame):
            found[item.seq] = hashlib.sha256(item.payload).digest()
    return found


def annex_b(sample: bytes) -> bytes:
    """A length-prefixed sample with four-byte start codes in place of its lengths."""
    data, at = bytearray(sample), 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        data[at : at + 4] = b"\0\0\0\1"
        at += 4 + size
    assert at == len(data), "the lengths do not add up"
    return bytes(data)


def exported_payloads(path: Path) -> list[bytes]:
    """The canonical payloads of an MP4 file in file order, read by FFmpeg's demuxer, hidden ones included."""
    # FFmpeg drops what the edit list hides unless it is told to ignore that.
    with av.open(str(path), options={"ignore_editlist": "1"}) as container:
        codec = container.streams.video[0].codec_context.name
        form = bytes if codec == "mjpeg" else annex_b
        return [form(bytes(packet)) for packet in container.demux(video=0) if packet.size]


def exported_pictures(path: Path) -> list[npt.NDArray[np.uint8]]:
    """The luma planes that a player shows of an MP4 file, decoded by FFmpeg with its edit list."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_type = "NONE"
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def exported_planes(path: Path) -> list[Planes]:
    """All planes of the pictures that a player shows of an MP4 file, decoded by FFmpeg with its edit list."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_type = "NONE"
        return [np.asarray(frame.to_ndarray(), np.uint8) for frame in container.decode(video=0)]


def sender_planes(clip: Clip, *, over_http: bool = False) -> dict[int, Planes]:
    """The pictures of one loop by their counter: what a simulated camera coded, decoded before anything was sent."""
    decoder: Any = av.CodecContext.create({"h264": "h264", "h265": "hevc", "mjpeg": "mjpeg"}[clip.codec], "r")
    decoder.thread_type = "NONE"
    shown: list[Any] = []
    for number, unit in enumerate(clip.units):
        if clip.codec == "mjpeg":
            sides = [side if over_http else jpeg_packets.told(side) for side in (clip.width, clip.height)]
            payload = jpeg.file(unit.nals[0], clip.form.tables(), clip.form, *sides)
        else:
            payload = bitstream.canonical(unit.nals)
        packet = av.Packet(payload)
        packet.pts = packet.dts = number
        shown += decoder.decode(packet)
    shown += decoder.decode(None)
    pictures = [np.asarray(frame.to_ndarray(), np.uint8) for frame in shown]
    return {counter.read(picture[: frame.height]): picture for frame, picture in zip(shown, pictures, strict=True)}
