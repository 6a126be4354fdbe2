"""A real encoder and a real decoder, for tests of what bitstreams promise; and what of a stream is called exact."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import av
import numpy as np

from broker.core.bitstream import DamageTracker, canonical
from broker.core.codecs import UnitInspector

WIDTH, HEIGHT = 96, 80


def encode(encoder: str, options: Mapping[str, str], frames: int) -> list[bytes]:
    """Units of a moving noise picture, in decode order and canonical form. `encoder`: FFmpeg's name."""
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.framerate = 25
    context.thread_count = 1
    context.options = dict(options)
    picture = np.random.default_rng(1).integers(0, 255, (HEIGHT * 3 // 2, WIDTH), np.uint8)
    units = []
    for number in range(frames):
        frame = av.VideoFrame.from_ndarray(np.roll(picture, number * 2, axis=1), format="yuv420p")
        frame.pts = number
        units += [canonical(bytes(packet)) for packet in context.encode(frame)]
    return units + [canonical(bytes(packet)) for packet in context.encode(None)]


def decode(decoder: str, units: Mapping[int, bytes]) -> dict[int, str]:
    """Units by position in decode order → digests of their pictures; pts = seq, as in the pixel host."""
    context = av.CodecContext.create(decoder, "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_count = 1
    context.thread_type = "NONE"
    pictures: dict[int, str] = {}
    for seq in [*units, None]:
        packet = None
        if seq is not None:
            packet = av.Packet(units[seq])
            packet.pts = seq
        for frame in context.decode(packet):
            assert frame.pts is not None
            pictures[frame.pts] = hashlib.sha256(frame.to_ndarray(format="yuv420p").tobytes()).hexdigest()
    return pictures


@dataclass(frozen=True, slots=True)
class Lossy:
    """A stream of which some units were lost: those that came, and which of them are called exact."""

    lost: set[int]
    came: dict[int, bytes]
    exact: list[int]


def lose_some(units: Sequence[bytes], inspector: UnitInspector, seed: str) -> Lossy:
    """Loses one to three units, never the first. The inspector is a fresh one."""
    rng = random.Random(seed)
    lost = {rng.randrange(1, len(units)) for _ in range(rng.randrange(1, 4))}
    tracker, exact = DamageTracker(), []
    for seq, unit in enumerate(units):
        info = inspector.inspect(unit)
        if seq in lost:
            tracker.lost()
        elif not tracker.observe(info.malformed, info.join_point, info.recovers_after, info.recovers_surely):
            exact.append(seq)
    return Lossy(lost, {seq: unit for seq, unit in enumerate(units) if seq not in lost}, exact)
