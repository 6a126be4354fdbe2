"""Simulated clips as files that people bring."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from simulator.clip import Clip


def write_mp4(clip: Clip, fps: int, path: Path, creation_time: str = "") -> None:
    """The clip's units as they are in an MP4 file, and beside it as a raw stream that says no times."""
    units = [b"".join(b"\0\0\0\1" + nal for nal in unit.nals) for unit in clip.units]
    raw = path.with_suffix(".h264")
    raw.write_bytes(b"".join(units))
    with av.open(str(raw)) as source, av.open(str(path), "w") as target:
        if creation_time:
            target.metadata["creation_time"] = creation_time
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, unit in enumerate(units):
            packet = av.Packet(unit)
            packet.pts = packet.dts = number
            packet.time_base = Fraction(1, fps)
            packet.is_keyframe = clip.units[number].joins
            packet.stream = stream
            target.mux(packet)
