"""The process that decodes recorded units for a worker: `python -m detector_pool.decoding`. Units in, planes out.

Here: the pipe's two ends of framing, and decoding exactly as the pixel host does, so that a frame out of the archive
gives the picture, to the bit, that the ring gave. Not here: where units come from (`trail.py`). Recorded bytes come
from cameras and are hostile: whatever they do to a decoder, they do it in a process that owns no connection (law 5).
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Final

from broker.pixel.client import Decoded, MissingReason, NotDecoded, StreamDecoder, planes_of

# Requests: kind, then what belongs to it.
UNIT: Final = 1
EPOCH_ENDED: Final = 2
_KIND = struct.Struct("<B")
_UNIT = struct.Struct("<BqqqqBIBBI")
_ENDED = struct.Struct("<qq")
_START = struct.Struct("<qq")
# Answers: epoch, first seq, count, reason (0: a picture), received_ns, width, height, flags; then Y, U and V in 4:2:0.
ANSWER: Final = struct.Struct("<qqqBqIIB")


@dataclass(frozen=True, slots=True)
class CodedUnit:
    """One access unit as the decoder wants it."""

    codec: int
    epoch: int
    seq: int
    received_ns: int
    monotonic_ns: int
    join_point: int
    recovers_after: int
    damaged: bool
    follows_damage: bool
    payload: bytes | memoryview


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """No more units of an epoch; `last_seq` -1 if it is not known."""

    epoch: int
    last_seq: int


def encode_start(epoch: int, seq: int) -> bytes:
    """The first thing said: only what lies behind this frame is wanted; epoch -1 for everything."""
    return _START.pack(epoch, seq)


def encode_unit(unit: CodedUnit) -> bytes:
    """A unit's head; its payload follows."""
    return _KIND.pack(UNIT) + _UNIT.pack(
        unit.codec, unit.epoch, unit.seq, unit.received_ns, unit.monotonic_ns, unit.join_point, unit.recovers_after,
        unit.damaged, unit.follows_damage, len(unit.payload),
    )  # fmt: skip


def encode_end(end: EpochEnd) -> bytes:
    """The end of an epoch."""
    return _KIND.pack(EPOCH_ENDED) + _ENDED.pack(end.epoch, end.last_seq)


def read_requests(pipe: BinaryIO) -> Iterable[CodedUnit | EpochEnd]:
    """Requests until the end of the pipe."""
    while kind := pipe.read(1):
        if kind[0] == EPOCH_ENDED:
            yield EpochEnd(*_ENDED.unpack(pipe.read(_ENDED.size)))
            continue
        codec, epoch, seq, received_ns, monotonic_ns, join, recovers, damaged, follows, size = _UNIT.unpack(
            pipe.read(_UNIT.size)
        )
        yield CodedUnit(
            codec, epoch, seq, received_ns, monotonic_ns, join, recovers, bool(damaged), bool(follows), pipe.read(size)
        )


class PlanesDecoder:
    """Decodes units of one camera, epoch after epoch, in the order of ids."""

    def __init__(self, epoch: int, seq: int) -> None:
        self._after = (epoch, seq)
        self._epoch = -1
        self._decoder: StreamDecoder | None = None

    def feed(self, request: CodedUnit | EpochEnd) -> Iterable[tuple[bytes, bytes | memoryview]]:
        """Answers with their planes, in the order of the decoder's output."""
        if isinstance(request, EpochEnd):
            decoder = self._decoder
            if decoder is not None and request.epoch == self._epoch:
                yield from self._answers(decoder.flush())
                if request.last_seq > decoder.last_seq:
                    yield from self._answers(decoder.skip(request.last_seq, MissingReason.NOT_RECEIVED))
            return
        if request.epoch < self._epoch:
            return
        if request.epoch > self._epoch:
            yield from self.finish()
            self._epoch = request.epoch
            floor = self._after[1] if request.epoch == self._after[0] else -1
            self._decoder = StreamDecoder(request.codec, min(floor, request.seq - 1))
        assert self._decoder is not None
        yield from self._answers(self._decoder.feed(request))

    def finish(self) -> Iterable[tuple[bytes, bytes | memoryview]]:
        """What is held back."""
        if self._decoder is not None:
            yield from self._answers(self._decoder.flush())

    def _answers(self, outcomes: Iterable[Decoded | NotDecoded]) -> Iterable[tuple[bytes, bytes | memoryview]]:
        epoch = self._epoch
        floor = self._after[1] if epoch == self._after[0] else -1
        if epoch < self._after[0]:
            return
        for outcome in outcomes:
            if isinstance(outcome, NotDecoded):
                first = max(outcome.first, floor + 1)
                if first <= outcome.last:
                    count = outcome.last - first + 1
                    yield ANSWER.pack(epoch, first, count, int(outcome.reason), outcome.received_ns, 0, 0, 0), b""
            elif outcome.seq > floor:
                planes = planes_of(outcome.frame)
                head = ANSWER.pack(
                    epoch, outcome.seq, 1, 0, outcome.received_ns, planes.width, planes.height, planes.flags
                )
                yield head, b"".join(plane.tobytes() for plane in planes.views())


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers requests until their end."""
    epoch, seq = _START.unpack(requests.read(_START.size))
    decoder = PlanesDecoder(epoch, seq)
    for request in read_requests(requests):
        for head, plane in decoder.feed(request):
            answers.write(head)
            answers.write(plane)
        answers.flush()
    for head, plane in decoder.finish():
        answers.write(head)
        answers.write(plane)
    answers.flush()


if __name__ == "__main__":
    import av.logging

    from mesh.process import die_with_parent

    die_with_parent()
    av.logging.set_level(None)
    serve(sys.stdin.buffer, sys.stdout.buffer)
