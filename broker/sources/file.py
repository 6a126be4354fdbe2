"""File sources: a video file played as a camera, in real time, by its own timestamps.

Belongs here: demuxing through PyAV in a thread of its own, pacing, looping. Does not belong here: decoding (nothing in
this process decodes), identity and times of frames (`ingest`).
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.error
import av.logging

from broker.core import annexb_from_length_prefixed, canonical, canonical_from_nals
from broker.errors import SourceEnded, SourceRefused
from broker.feed import Feed
from broker.sources.avcc import parse_avcc
from broker.sources.hvcc import parse_hvcc
from broker.sources.notation import FileSource
from trueframe.v1 import frames_pb2

_CHUNK_PACKETS = 16
_CHUNK_BYTES = 4 << 20
_LATE_NS = 1_000_000_000
_NS = 1_000_000_000
_FALLBACK_RATE = Fraction(25)
_CODECS: dict[str, frames_pb2.Codec.ValueType] = {
    "h264": frames_pb2.CODEC_H264,
    "hevc": frames_pb2.CODEC_H265,
    "mjpeg": frames_pb2.CODEC_MJPEG,
}
_CODEC_NAMES = {
    "mpeg4": "MPEG-4 Part 2", "mpeg2video": "MPEG-2", "av1": "AV1", "libdav1d": "AV1", "vp8": "VP8", "vp9": "VP9",
    "png": "PNG", "prores": "ProRes",
}  # fmt: skip
_PARSERS = {frames_pb2.CODEC_H264: parse_avcc, frames_pb2.CODEC_H265: parse_hvcc}


@dataclass(frozen=True, slots=True)
class FileUnit:
    """One access unit of a file. `due_ns`: when to play it, from the file's start; `pts` in the file's time base."""

    payload: bytes
    pts: int | None
    due_ns: int
    damaged: bool = False
    """The demuxer says that bytes of it are missing."""
    is_hidden: bool = False
    """The file's edit list does not show it: others may need it for decoding."""


class FileReader:
    """Demuxes one file. All methods are called from one thread, never from the event loop's."""

    def __init__(self, source: FileSource) -> None:
        self._source = source
        self._thing = f"file {str(source.path)!r}"
        self._container: Any = None
        self._units: Iterator[FileUnit] = iter(())
        self.time_base = Fraction(1, 90_000)
        self.codec = frames_pb2.CODEC_H264
        self.parameter_sets = b""
        self.shown_from = Fraction(0)
        """When the first picture is shown by the file's own clock, in seconds; what is hidden may lie before."""
        self.begins_at = Fraction(0)
        """When the first of anything in the file is, by the same clock."""

    def open(self) -> None:
        """Opens the file and finds its video. Raises SourceRefused naming what is wrong and what helps."""
        self._open_container()
        self._units = self._played()

    def read(self) -> list[FileUnit]:
        """The next few units in decode order; empty at the end. Raises SourceEnded if the file breaks off."""
        chunk: list[FileUnit] = []
        size = 0
        for unit in self._units:
            chunk.append(unit)
            size += len(unit.payload)
            if len(chunk) >= _CHUNK_PACKETS or size >= _CHUNK_BYTES:
                break
        return chunk

    @property
    def container(self) -> Any:
        """The open file as PyAV knows it, for what else it says of itself; None before `open`."""
        return self._container

    def close(self) -> None:
        """Closes the file."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def _open_container(self) -> None:
        path = self._source.path
        self.close()
        try:
            # Only a regular file: a pipe or a device would hold the thread for ever.
            if not stat.S_ISREG(path.stat().st_mode):
                raise SourceRefused(self._thing, "is not a file", "Give the path of a video file.")
            # The prefix and the white list keep a playlist or a name like "concat:…" from opening anything else.
            self._container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
        except FileNotFoundError as error:
            raise SourceRefused(self._thing, "does not exist", "Correct the path in the source.") from error
        except PermissionError as error:
            raise SourceRefused(self._thing, "may not be read by the broker", "Give it read permission.") from error
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = f"is not a video file ({getattr(error, 'strerror', None) or type(error).__name__})"
            raise SourceRefused(self._thing, reason, "Give the path of a video file.") from error
        if not self._container.streams.video:
            reason = "holds sound and no video" if self._container.streams.audio else "holds no video"
            raise SourceRefused(self._thing, reason, "Give the path of a file that has video.")
        codec = self._container.streams.video[0].codec_context
        if codec.name not in _CODECS:
            name = _CODEC_NAMES.get(codec.name, codec.name)
            raise SourceRefused(
                self._thing,
                f"is coded as {name}, which this version does not carry",
                f"Convert it: ffmpeg -i {path.name} -c:v libx264 {path.stem}-h264.mp4",
            )
        self.codec = _CODECS[codec.name]

    def _played(self) -> Iterator[FileUnit]:
        shift = Fraction(0)
        while True:
            length = Fraction(0)
            for unit, end in self._once(shift):
                length = max(length, end)
                yield unit
            if not self._source.is_looped:
                return
            if length <= shift:
                raise SourceRefused(self._thing, "holds no frames", "Give the path of a file that has video.")
            shift = length
            self._open_container()

    def _once(self, shift: Fraction) -> Iterator[tuple[FileUnit, Fraction]]:
        """Plays the file once, `shift` seconds later than it says; yields units and the time at which each ends."""
        stream = self._container.streams.video[0]
        self.time_base = time_base = stream.time_base or Fraction(1, 90_000)
        self.shown_from = (stream.start_time or 0) * time_base
        self.begins_at = Fraction(self._container.start_time or 0, av.time_base)
        parse = _PARSERS.get(self.codec)
        try:
            record = parse(stream.codec_context.extradata or b"") if parse else None
        except ValueError as error:
            raise SourceRefused(self._thing, "has a damaged header", "Give a file that other players play.") from error
        self.parameter_sets = canonical_from_nals(record.parameter_sets) if record else b""
        rate = stream.average_rate or stream.guessed_rate or _FALLBACK_RATE
        frame_s = 1 / Fraction(rate)
        shift_ticks = round(shift / time_base)
        first_dts: Fraction | None = None
        next_dts = Fraction(0)
        try:
            for packet in self._container.demux(stream):
                if packet.size == 0:
                    continue  # PyAV's flush packet at the end.
                dts = packet.dts * time_base if packet.dts is not None else next_dts
                first_dts = dts if first_dts is None else first_dts
                length_s = packet.duration * time_base if packet.duration else frame_s
                next_dts = dts + length_s
                due = shift + dts - first_dts
                pts = packet.pts + shift_ticks if packet.pts is not None else None
                data = bytes(packet)
                if record is not None:
                    data = annexb_from_length_prefixed(data, record.nal_length_size)
                elif parse is not None:
                    data = canonical(data)
                yield FileUnit(data, pts, int(due * _NS), packet.is_corrupt, packet.is_discard), due + length_s
        except (av.error.FFmpegError, ValueError) as error:
            if self._source.is_looped and first_dts is not None:
                return  # What can be read of it is played again.
            raise SourceEnded(
                self._thing, f"breaks off: it is damaged or cut short ({type(error).__name__})"
            ) from error


async def play_file(source: FileSource, feed: Feed) -> None:
    """Plays a file into a feed until it ends. Always raises: SourceEnded, SourceRefused, or cancellation."""
    reader = FileReader(source)
    loop = asyncio.get_running_loop()
    # A thread for each file: one that hangs on a dead network drive stops no other.
    executor = ThreadPoolExecutor(1, thread_name_prefix=f"file-{feed.camera}")
    try:
        await loop.run_in_executor(executor, reader.open)
        chunk = await loop.run_in_executor(executor, reader.read)
        if not chunk:
            raise SourceRefused(f"file {str(source.path)!r}", "holds no frames", "Give a file that has video.")
        base = reader.time_base
        ingest = await feed.open_epoch((base.numerator, base.denominator), reader.parameter_sets, reader.codec)
        feed.transport_used = "file"
        feed.connected()
        started_ns = feed.clock.monotonic_ns()
        while chunk:
            reading = loop.run_in_executor(executor, reader.read)
            for unit in chunk:
                started_ns = await _wait(feed, started_ns, unit.due_ns)
                ingest.unit(unit.payload, unit.pts, unit.damaged, False, feed.clock.monotonic_ns(), None, None)
            chunk = await reading
        raise SourceEnded(f"file {str(source.path)!r}", "was played to its end", "Add ?loop=1 to play it for ever.")
    finally:
        executor.submit(reader.close)
        executor.shutdown(wait=False)


async def _wait(feed: Feed, started_ns: int, due_ns: int) -> int:
    """Waits until a unit is due; returns the start, moved if the broker was held up so long that it would burst."""
    while True:
        left_ns = started_ns + due_ns - feed.clock.monotonic_ns()
        if left_ns < -_LATE_NS:
            return started_ns - left_ns
        if left_ns <= 0:
            return started_ns
        # A still picture every ten seconds is no silence: the source is fine, its next frame is not due.
        feed.sign_of_life()
        await asyncio.sleep(min(left_ns / _NS, 1.0))
