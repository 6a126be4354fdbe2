"""A video file as a clip: any H.264 or H.265 file, served as it is coded.

What belongs here: demuxing with PyAV and bringing units to NAL units with parameter sets in the stream. Nothing is
decoded or re-encoded; B-frames stay, in decode order.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av

from simulator import bitstream
from simulator.bitstream import Syntax
from simulator.clip import CLOCK_HZ, Clip, ClipUnit

MAX_BYTES = 512 << 20


class FileError(ValueError):
    """A file that cannot be served; the message names it, the reason and the remedy."""


def load(path: Path) -> Clip:
    """One loop of the file's first video stream. Raises FileError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FileError(f"{path} is larger than {MAX_BYTES >> 20} MiB and would not fit into memory; cut it first")
        with av.open(str(path)) as container:
            return _load(path, container)
    except FileNotFoundError:
        raise FileError(f"{path}: there is no such file") from None
    except (av.FFmpegError, OSError) as error:
        raise FileError(f"{path} cannot be read as video: {error}") from error


def _load(path: Path, container: av.container.InputContainer) -> Clip:
    stream = next(iter(container.streams.video), None)
    if stream is None:
        raise FileError(f"{path} has no video stream")
    codec = {"h264": "h264", "hevc": "h265"}.get(stream.codec_context.name, "")
    if not codec:
        raise FileError(
            f"{path} is {stream.codec_context.name}, only H.264 and H.265 are served; "
            f"convert it: ffmpeg -i {path} -c:v libx264 -an out.mp4"
        )
    syntax = bitstream.of(codec)
    length_bytes, sets = _parameter_sets(bytes(stream.codec_context.extradata or b""), syntax)
    base = Fraction(stream.time_base or Fraction(1, CLOCK_HZ))
    units: list[ClipUnit] = []
    last = 0
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        data = bytes(packet)
        nals = bitstream.split_length_prefixed(data, length_bytes) if length_bytes else bitstream.split(data)
        if not any(map(syntax.is_picture, nals)):
            continue
        joins = packet.is_keyframe or syntax.joins(nals)
        if joins or syntax.has_recovery_point(nals):
            sets = syntax.sets_in(nals) or sets
            nals = syntax.with_parameter_sets(nals, sets)
        dts = _ticks(packet.dts if packet.dts is not None else packet.pts, base)
        last = dts + max(1, _ticks(packet.duration or 0, base))
        units.append(ClipUnit(tuple(nals), dts, _ticks(packet.pts, base), 0, joins))
    if not units or not sets:
        raise FileError(f"{path} has no pictures with parameter sets")
    origin = units[0].due_ticks
    shown = {pts: rank for rank, pts in enumerate(sorted(unit.pts_ticks for unit in units))}
    duration = max(last - origin, units[-1].due_ticks - origin + 1)
    return Clip(
        name=path.stem,
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        fps=len(units) * CLOCK_HZ / duration,
        duration_ticks=duration,
        codec=codec,
        parameter_sets=sets,
        units=tuple(
            replace(
                unit,
                due_ticks=unit.due_ticks - origin,
                pts_ticks=unit.pts_ticks - origin,
                frame=shown[unit.pts_ticks],
            )
            for unit in units
        ),
    )


def _ticks(value: int | None, base: Fraction) -> int:
    return round((value or 0) * base * CLOCK_HZ)


def _parameter_sets(extradata: bytes, syntax: Syntax) -> tuple[int, tuple[bytes, ...]]:
    """Bytes per NAL length (0: the stream is Annex B) and the parameter sets."""
    if extradata[:1] != b"\x01" or len(extradata) < 7:
        return 0, syntax.sets_in(bitstream.split(extradata))
    if syntax is bitstream.H265:
        return (extradata[21] & 3) + 1, syntax.sets_in(_hevc_arrays(extradata))
    sets: list[bytes] = []
    at = 5
    for mask in (0x1F, 0xFF):
        count = extradata[at] & mask
        at += 1
        for _ in range(count):
            size = int.from_bytes(extradata[at : at + 2], "big")
            sets.append(extradata[at + 2 : at + 2 + size])
            at += 2 + size
    return (extradata[4] & 3) + 1, tuple(sets)


def _hevc_arrays(extradata: bytes) -> list[bytes]:
    found: list[bytes] = []
    at = 23
    for _ in range(extradata[22]):
        count = int.from_bytes(extradata[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(extradata[at : at + 2], "big")
            found.append(extradata[at + 2 : at + 2 + size])
            at += 2 + size
    return found
