"""Streams made by hand, recorded through the real writer and read back. For tests of the media center."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from broker.client import BatchReader, StreamItem, WireFrame, encode_frame, encode_item
from broker.core.bitstream import canonical
from media_center.archive import Archive
from media_center.catalogue import SegmentTable
from media_center.cutter import Cutter, Limits
from media_center.footage import CameraFootage, RowCache
from media_center.ranges import parse_range, select
from media_center.recovery import RecoveredCamera, recover
from media_center.seal import Signer
from media_center.stream import CameraStream
from media_center.writer import FootageWriter
from mesh.clocks import Clock, SystemClock
from trueframe.v1 import footage_pb2, frames_pb2

EPOCH = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
EXACT = frames_pb2.JOIN_POINT_EXACT
NONE = frames_pb2.JOIN_POINT_NONE


def unit(number: int, size: int = 60) -> bytes:
    """A canonical payload that is no picture but has the form of one, and differs from every other."""
    body = hashlib.sha256(str(number).encode()).digest().replace(b"\0", b"\1") * (size // 32 + 1)
    return b"\0\0\0\1\x41" + body[: max(1, size - 5)]


@dataclass
class Script:
    """The live stream of one camera, item by item, as encoded entries of a FrameBatch."""

    camera: str = "gate"
    epoch: int = EPOCH
    seq: int = 0
    now_ns: int = 0
    raw: list[bytes] = field(default_factory=list)
    has_pts: bool = True
    utc_offset_ns: int = 0
    """How far the wall clock was set, against the monotonic one."""

    def start(self, epoch: int | None = None, **fields: Any) -> Script:
        self.epoch = self.epoch if epoch is None else epoch
        self.seq = 0
        values: dict[str, Any] = {
            "camera": self.camera, "epoch": self.epoch, "origin": 1, "codec": 1, "width": 128, "height": 64,
            "started_ns": EPOCH + self.now_ns + self.utc_offset_ns, "monotonic_ns": self.now_ns + 1,
            "time_base": frames_pb2.Rational(num=1, den=90_000),
        }  # fmt: skip
        self.raw.append(encode_item(frames_pb2.EpochStarted(**values | fields)))
        return self

    def frame(
        self, payload: bytes | None = None, *, step_s: float = 0.1, join: int = NONE, pts: int | None = None,
        recovers_after: int = 0, damaged: bool = False, follows_damage: bool = False, camera_time_ns: int | None = None,
    ) -> Script:  # fmt: skip
        payload = unit(self.epoch + self.seq) if payload is None else payload
        if pts is None and self.has_pts:
            pts = self.now_ns * 9 // 100_000
        self.raw.append(
            encode_frame(
                self.camera,
                self.epoch,
                self.seq,
                EPOCH + self.now_ns + self.utc_offset_ns,
                self.now_ns + 1,
                camera_time_ns,
                None if camera_time_ns is None else 500,
                pts,
                join,
                recovers_after,
                damaged,
                follows_damage,
                hashlib.sha256(payload).digest(),
                payload,
            )
        )
        self.seq += 1
        self.now_ns += round(step_s * SECOND)
        return self

    def frames(self, count: int, *, gop: int = 10, step_s: float = 0.1) -> Script:
        for _ in range(count):
            self.frame(join=EXACT if self.seq % gop == 0 else NONE, step_s=step_s)
        return self

    def skip(self, count: int) -> Script:
        """Frames that the recorder never gets."""
        self.seq += count
        self.now_ns += count * SECOND // 10
        return self

    def gap(self, reason: int = frames_pb2.GAP_REASON_NETWORK_LOSS, count: int | None = None) -> Script:
        told = frames_pb2.Gap(camera=self.camera, reason=reason, count=count, noticed_ns=EPOCH + self.now_ns)  # type: ignore[arg-type]
        self.raw.append(encode_item(told))
        return self

    def end(self, *, last_seq: int | None = None) -> Script:
        last_seq = self.seq - 1 if last_seq is None else last_seq
        ended = frames_pb2.EpochEnded(
            camera=self.camera, epoch=self.epoch, last_seq=last_seq if last_seq >= 0 else None,
            reason=frames_pb2.EPOCH_END_REASON_CONNECTION_LOST,
            ended_ns=EPOCH + self.now_ns + self.utc_offset_ns,
        )  # fmt: skip
        self.raw.append(encode_item(ended))
        return self

    @property
    def items(self) -> list[StreamItem]:
        return list(BatchReader(b"".join(self.raw)))

    @property
    def wire_frames(self) -> list[WireFrame]:
        return [item for item in self.items if isinstance(item, WireFrame)]


def record(
    root: Path, items: list[StreamItem], *, limits: Limits | None = None, clock: Clock | None = None,
    signer: Signer | None = None, **options: Any,
) -> FootageWriter:  # fmt: skip
    """Records items as the recorder does, going on behind what is in the folder; everything is on disk afterwards.

    `signer`: seals what is closed, and at the end what is open.
    """
    root.mkdir(exist_ok=True)
    recovered = recover(root, signer)
    clock = clock or SystemClock()
    lanes = {camera: found.lane for camera, found in recovered.items()}
    writer = FootageWriter(root, lanes, lambda _: None, clock, **{"sync_s": 0.01, "signer": signer, **options})
    limits = limits or Limits(segment_ns=3 * SECOND, max_segment_ns=6 * SECOND)
    cutters = {camera: Cutter(camera, limits, found.resumption) for camera, found in recovered.items()}
    writer.start()
    for item in items:
        cutter = cutters.setdefault(item.camera, Cutter(item.camera, limits))
        for fragment in cutter.take(item, clock.monotonic_ns()):
            writer.submit(fragment)
    for cutter in cutters.values():
        for fragment in cutter.flush():
            writer.submit(fragment)
    assert writer.stop()
    return writer


def close(recovered: dict[str, RecoveredCamera]) -> None:
    """Closes what `recover` opened."""
    for found in recovered.values():
        found.lane.close()


def footage_of(root: Path, camera: str = "gate") -> CameraFootage:
    """A camera's footage as it is found at a start."""
    recovered = recover(root)
    close(recovered)
    table: SegmentTable = recovered[camera].table
    return CameraFootage(camera, table.view(), RowCache())


def archive_of(root: Path) -> Archive:
    """The archive as it is found at a start."""
    recovered = recover(root)
    close(recovered)
    marks = {camera: found.lane.watermark for camera, found in recovered.items() if found.lane.watermark is not None}
    return Archive(root, {camera: found.table for camera, found in recovered.items()}, marks)


def replayed(
    footage: CameraFootage, wanted: footage_pb2.FootageRange | None = None, *, with_lead_in: bool = False
) -> list[bytes]:
    """The recorded stream of a range, as encoded entries of a FrameBatch."""
    bounds = parse_range(wanted or footage_pb2.FootageRange(camera=footage.camera))
    stream = CameraStream(select(footage, bounds, with_lead_in=with_lead_in), footage.camera)
    return [item.data for item in stream.items(footage)]


def decoded(raw: list[bytes]) -> list[StreamItem]:
    """Items out of encoded entries."""
    return list(BatchReader(b"".join(raw)))


def gaps_in(raw: list[bytes]) -> list[frames_pb2.Gap]:
    return [item for item in decoded(raw) if isinstance(item, frames_pb2.Gap)]


def seqs_in(raw: list[bytes]) -> list[int]:
    return [item.seq for item in decoded(raw) if isinstance(item, WireFrame)]


@dataclass(frozen=True)
class CodedUnit:
    """One access unit of a coded clip, in decode order."""

    payload: bytes
    shown: int
    """Number of the picture that it codes: its place in presentation order, and what its bars read."""
    is_key: bool


_X264 = "bframes={b}:keyint={g}:min-keyint={g}:scenecut=0:open-gop=0:b-adapt=0:threads=1"
_X265 = (
    "bframes={b}:keyint={g}:min-keyint={g}:scenecut=0:open-gop={o}:b-adapt=0:frame-threads=1:pools=none"
    ":repeat-headers=1:log-level=none"
)


@lru_cache(maxsize=8)
def coded_clip(
    frames: int = 60, *, b_frames: int = 0, gop: int = 12, codec: str = "h264", open_gop: bool = False
) -> tuple[CodedUnit, ...]:
    """H.264, H.265 or Motion JPEG of pictures whose bars tell their number."""
    encoder: Any = av.CodecContext.create({"h264": "libx264", "h265": "libx265", "mjpeg": "mjpeg"}[codec], "w")
    encoder.width, encoder.height = 128, 64
    encoder.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    if codec == "h264":
        encoder.options = {"preset": "veryfast", "x264-params": _X264.format(b=b_frames, g=gop)}
    elif codec == "h265":
        encoder.options = {"preset": "ultrafast", "x265-params": _X265.format(b=b_frames, g=gop, o=int(open_gop))}
    packets = []
    for number in range(frames):
        picture = av.VideoFrame.from_ndarray(bars(number), format=encoder.pix_fmt)
        picture.pts = number
        packets += encoder.encode(picture)
    packets += encoder.encode(None)
    form = bytes if codec == "mjpeg" else canonical
    return tuple(CodedUnit(form(bytes(packet)), int(packet.pts or 0), packet.is_keyframe) for packet in packets)


def parameter_sets_of(payload: bytes, codec: str) -> bytes:
    """The parameter sets of a canonical unit, in canonical form."""
    nals = [nal for nal in payload.split(b"\0\0\0\1")[1:] if nal]
    sets = {"h264": lambda nal: nal[0] & 31 in (7, 8), "h265": lambda nal: nal[0] >> 1 & 63 in (32, 33, 34)}
    return b"".join(b"\0\0\0\1" + nal for nal in nals if sets[codec](nal)) if codec in sets else b""


def bars(number: int) -> npt.NDArray[np.uint8]:
    """A picture of 128 x 64, as I420, with eight bars that are the bits of a number."""
    picture = np.full((96, 128), 128, np.uint8)
    for bit in range(8):
        picture[:64, bit * 16 : bit * 16 + 16] = 210 if number >> bit & 1 else 40
    return picture


def read_bars(luma: npt.NDArray[np.uint8]) -> int:
    """The number that a picture's bars show."""
    scale = luma.shape[1] / 128
    middles = [int((bit * 16 + 8) * scale) for bit in range(8)]
    return sum(1 << bit for bit, x in enumerate(middles) if luma[luma.shape[0] // 2, x] > 125)


def clip_script(
    frames: int = 60,
    *,
    b_frames: int = 0,
    gop: int = 12,
    camera: str = "gate",
    codec: str = "h264",
    open_gop: bool = False,
) -> Script:
    """The stream of a camera that sends a coded clip at 25 frames a second."""
    return add_clip(Script(camera), frames, b_frames=b_frames, gop=gop, codec=codec, open_gop=open_gop)


def add_clip(
    script: Script,
    frames: int = 60,
    *,
    epoch: int | None = None,
    b_frames: int = 0,
    gop: int = 12,
    codec: str = "h264",
    open_gop: bool = False,
) -> Script:
    """Adds an epoch that sends a coded clip."""
    clip = coded_clip(frames, b_frames=b_frames, gop=gop, codec=codec, open_gop=open_gop)
    number = {"h264": frames_pb2.CODEC_H264, "h265": frames_pb2.CODEC_H265, "mjpeg": frames_pb2.CODEC_MJPEG}[codec]
    script.start(epoch, codec=number, parameter_sets=parameter_sets_of(clip[0].payload, codec))
    for coded in clip:
        is_key = coded.is_key or codec == "mjpeg"
        join = (frames_pb2.JOIN_POINT_RECOVERS_AFTER if script.seq else EXACT) if open_gop and is_key else EXACT
        script.frame(
            coded.payload, step_s=0.04, join=join if is_key else NONE, pts=coded.shown * 3600,
            recovers_after=b_frames + 1 if join == frames_pb2.JOIN_POINT_RECOVERS_AFTER and is_key else 0,
        )  # fmt: skip
    return script
