"""Access units of one epoch in, pictures with their ids out; and a reason for every unit that gave none.

Here: the decoder and its settings, joining, exactness, units that the decoder swallows. No threads, no clocks, no
sockets. Not here: which units are worth decoding in time (pace.py), what becomes of pictures (camera.py).

Units are fed with pts = seq, so that a picture's identity rests on nothing the camera says (DESIGN 5). One thread and
no frame threading: the cheapest on many cameras, and the only setting whose pictures of damaged streams repeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import av
from av.codec.context import Flags
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from broker.pixel.hardware import accelerator
from broker.pixel.picture import MissingReason
from mesh.errors import Unsupported
from trueframe.v1 import frames_pb2

# A hostile parameter set must not make the decoder ask for gigabytes: 8K, and a little.
MAX_PIXELS = 8192 * 4608
# Units that H.264 and H.265 may hold a picture back for (16 in the picture buffer), and one for good measure.
_LONGEST_DELAY = 17
_DECODERS: dict[int, str] = {
    frames_pb2.CODEC_H264: "h264",
    frames_pb2.CODEC_H265: "hevc",
    frames_pb2.CODEC_MJPEG: "mjpeg",
}
# NAL unit types of H.265 (table 7-1), and how far in a unit its first slice may begin behind SEI messages.
_RASL = (8, 9)
_CRA = 21
_FIRST_NON_SLICE = 32
_LONGEST_HEAD = 4096
_TIME_BASE = Fraction(1, 1)


class Unit(Protocol):
    """A frame as `broker.client` gives it (WireFrame)."""

    @property
    def seq(self) -> int: ...  # noqa: D102 - as in frames.proto, like all that follow
    @property
    def received_ns(self) -> int: ...  # noqa: D102
    @property
    def monotonic_ns(self) -> int: ...  # noqa: D102
    @property
    def join_point(self) -> int: ...  # noqa: D102
    @property
    def recovers_after(self) -> int: ...  # noqa: D102
    @property
    def damaged(self) -> bool: ...  # noqa: D102
    @property
    def follows_damage(self) -> bool: ...  # noqa: D102
    @property
    def payload(self) -> bytes | memoryview: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture and the unit it was made from."""

    seq: int
    received_ns: int
    monotonic_ns: int
    inexact: bool
    frame: VideoFrame


@dataclass(frozen=True, slots=True)
class NotDecoded:
    """Units that gave no picture: first to last, both included."""

    first: int
    last: int
    reason: MissingReason
    received_ns: int = 0


Outcome = Decoded | NotDecoded


@dataclass(slots=True)
class _Fed:
    received_ns: int
    monotonic_ns: int
    inexact: bool
    is_skipped_leading: bool


class StreamDecoder:
    """Decodes one epoch. `last_seq`: the unit before the first that is anybody's business.

    `on_hardware`: by the GPU, as far as it does this stream. Raises Unsupported for a codec that is not known, and
    FFmpegError when the GPU cannot be had.
    """

    def __init__(self, codec: int, last_seq: int = -1, *, on_hardware: bool = False) -> None:
        name = _DECODERS.get(codec)
        if name is None:
            raise Unsupported(f"codec {codec}", "is none of H.264, H.265 and Motion JPEG")
        device = accelerator() if on_hardware else None
        self._context: VideoCodecContext = VideoCodecContext.create(name, "r", device)  # type: ignore[assignment]
        self._name = name
        self.is_hardware = on_hardware
        self.ran_on_hardware = False
        self._context.thread_type = "NONE"
        self._context.thread_count = 1
        # Pictures that rest on damaged or absent ones come out too; they are marked, and better than a blind operator.
        self._context.flags |= Flags.output_corrupt
        self._context.options = {"max_pixels": str(MAX_PIXELS)}
        self._is_h265 = codec == frames_pb2.CODEC_H265
        self._last_seq = last_seq
        self._joined = False
        self._joined_open = False
        self._inexact_before = 0
        self._tainted = False
        self._tainted_from = 0
        self._fed: dict[int, _Fed] = {}
        self._last_join = -1

    @property
    def description(self) -> str:
        """The decoder that really runs, for a person."""
        by = " cuvid" if self.ran_on_hardware else ""
        return (
            f"{self._name}{by} libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))} threads=1 type=none"
        )

    @property
    def is_joined(self) -> bool:
        """Whether any unit can be decoded now; if not, the next join point is waited for."""
        return self._joined

    @property
    def last_seq(self) -> int:
        """The last unit fed or skipped."""
        return self._last_seq

    def feed(self, unit: Unit) -> list[Outcome]:
        """Decodes a unit. Units come in the order of seq; holes are told as NOT_RECEIVED and waited out."""
        outcomes: list[Outcome] = []
        seq = unit.seq
        if seq <= self._last_seq:
            return outcomes
        if seq > self._last_seq + 1:
            outcomes += self.skip(seq - 1, MissingReason.NOT_RECEIVED)
        self._last_seq = seq
        joins = unit.join_point in (frames_pb2.JOIN_POINT_EXACT, frames_pb2.JOIN_POINT_RECOVERS_AFTER)
        if not self._joined and not joins:
            outcomes.append(NotDecoded(seq, seq, MissingReason.BEFORE_JOIN_POINT, unit.received_ns))
            return outcomes
        if self._fed and not self._context.has_b_frames:
            # Nothing is held back, yet the unit before gave no picture: this one may refer to what is not there.
            outcomes += [self._lost(older) for older in sorted(self._fed)]
        if unit.join_point == frames_pb2.JOIN_POINT_EXACT:
            self._inexact_before = seq
            self._last_join = seq
        elif joins and (not self._joined or (self._tainted and self._is_cra(unit))):
            self._inexact_before = seq + unit.recovers_after
        if unit.join_point == frames_pb2.JOIN_POINT_EXACT or (joins and self._is_cra(unit)):
            # Streams of open GOPs have no other join point, and the standard forbids what follows to look back. A
            # recovery point of H.264 is the encoder's promise alone, and heals nothing.
            self._tainted = False
            self._tainted_from = seq
        if joins:
            self._joined_open = not self._joined and unit.join_point != frames_pb2.JOIN_POINT_EXACT
        self._joined = True
        is_leading = self._joined_open and self._is_h265 and _first_slice(unit.payload) in _RASL
        inexact = unit.damaged or unit.follows_damage or self._tainted or seq < self._inexact_before
        self._fed[seq] = _Fed(unit.received_ns, unit.monotonic_ns, inexact, is_leading)
        outcomes += self._decode(unit)
        outcomes += self._swallowed()
        return outcomes

    def _is_cra(self, unit: Unit) -> bool:
        return self._is_h265 and _first_slice(unit.payload) == _CRA

    def skip(self, last: int, reason: MissingReason) -> list[Outcome]:
        """Leaves out all units up to `last`; pictures still held back come first, then a join point is waited for."""
        outcomes = self.flush()
        if last > self._last_seq:
            outcomes.append(NotDecoded(self._last_seq + 1, last, reason))
            self._last_seq = last
        self._joined = False
        return outcomes

    def flush(self) -> list[Outcome]:
        """The pictures held back for reordering; units that never gave one are told. A join point must follow."""
        outcomes: list[Outcome] = []
        if self._joined:
            try:
                outcomes += self._outcomes(self._context.decode(None))
            except (FFmpegError, EOFError):
                self._tainted = True
            self._context.flush_buffers()
        self._joined = False
        outcomes += [self._lost(seq) for seq in sorted(self._fed)]
        return outcomes

    def _decode(self, unit: Unit) -> list[Outcome]:
        try:
            return self._outcomes(self._context.decode(packet_of(unit.payload, unit.seq)))
        except FFmpegError:
            self._tainted = True
            return [self._lost(unit.seq)]

    def _outcomes(self, frames: list[VideoFrame]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        if self.is_hardware and frames:
            # What the GPU does not do comes out of the software decoder, in a format of its own.
            self.ran_on_hardware = frames[-1].format.name in ("nv12", "p010le", "p012le", "p016le")
        for frame in frames:
            fed = self._fed.pop(frame.pts if frame.pts is not None else -1, None)
            if fed is None:
                continue  # told as lost before, or a second field
            seq = frame.pts
            assert seq is not None
            if seq >= self._last_join:
                # Nothing is reordered across an exact join point: what came before it and is not out will never be.
                outcomes += [self._lost(older) for older in sorted(self._fed) if older < self._last_join]
            outcomes.append(
                Decoded(seq, fed.received_ns, fed.monotonic_ns, fed.inexact or bool(frame.is_corrupt), frame)
            )
        return outcomes

    def _swallowed(self) -> list[Outcome]:
        """Units too old to give a picture any more."""
        if len(self._fed) <= _LONGEST_DELAY:
            return []
        return [self._lost(seq) for seq in sorted(self._fed) if seq < self._last_seq - _LONGEST_DELAY]

    def _lost(self, seq: int) -> NotDecoded:
        fed = self._fed.pop(seq)
        if fed.is_skipped_leading:
            # It refers to what lies before the join point, the decoder leaves it out, and nothing behind refers to it.
            return NotDecoded(seq, seq, MissingReason.BEFORE_JOIN_POINT, fed.received_ns)
        # What is lost before a join point is told late where pictures are held back, and harms nothing behind it.
        self._tainted = self._tainted or seq >= self._tainted_from
        return NotDecoded(seq, seq, MissingReason.DECODE_FAILED, fed.received_ns)


def packet_of(payload: bytes | memoryview, seq: int) -> Any:
    """A unit for a decoder, with zeros behind it: decoders read on behind the end of a unit that is cut off.

    A packet that PyAV makes of bytes borrows them, and what happens to stand behind them in memory decides the picture
    (H.265, 149 of 150 cut-off units).
    """
    packet: Any = av.Packet(len(payload))  # PyAV's types know neither the stream of it nor any buffer but bytes
    packet.update(payload)
    packet.pts = packet.dts = seq
    packet.time_base = _TIME_BASE
    return packet


def _first_slice(payload: bytes | memoryview) -> int:
    """NAL unit type of an H.265 unit's first coded slice; -1 if none stands at its head."""
    head = bytes(payload[:_LONGEST_HEAD])
    at = 0
    while 0 <= (at := head.find(b"\0\0\0\1", at)) < len(head) - 4:
        kind = head[at + 4] >> 1 & 0x3F
        if kind < _FIRST_NON_SLICE:
            return kind
        at += 4
    return -1
