"""Fuzzes the parsers of the compiled core: `python -m tests.fuzz.core --seconds 60 [--seed N]`.

Quick and blind: seeds are well-formed, mutations are random, and what is checked must hold for any input. Meant to run
under AddressSanitizer (tests/asan.sh), where a read or write out of bounds ends it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable

from google.protobuf.message import DecodeError

from broker.core.bitstream import (
    H264Inspector,
    annexb_from_length_prefixed,
    canonical,
    from_length_prefixed,
    split_nals,
    to_length_prefixed,
)
from broker.core.rtp import H264Depacketiser, InterleavedError, InterleavedParser, RtcpParser
from broker.core.wire import BatchReader, WireFrame, encode_item
from tests.unit.core.h264_stream import (
    AUD,
    START,
    SpsFields,
    annexb,
    packetise,
    pps,
    recovery_point,
    slice_nal,
    sps,
)
from trueframe.v1.frames_pb2 import EpochStarted, Frame, FrameBatch, FrameId, Gap

SPS = sps(SpsFields(vui=True, hrd=True, reorder=2))
UNIT = [AUD, SPS, pps(), recovery_point(3), slice_nal(idr=True, size=300), slice_nal(first_mb=9, size=80)]
PACKETS = packetise(UNIT, 65530, 9000, mtu=70, aggregate=True) + packetise([slice_nal(size=200)], 65542, 12000, mtu=90)
CONNECTION = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 5\r\n\r\nbody." + b"".join(
    b"$\x00" + len(packet).to_bytes(2, "big") + packet for packet in PACKETS
)
REPORT = (
    bytes.fromhex("80c80006000000090a0b0c0d80000000000004d20000000a000003e8") + bytes.fromhex("80cb000100000009")[:8]
)
BATCH = b"".join(
    encode_item(item)
    for item in (
        EpochStarted(camera="gate", epoch=5, width=640, parameter_sets=SPS),
        Frame(
            id=FrameId(camera="gate", epoch=5, seq=300),
            received_ns=1 << 60,
            pts=-3,
            join_point=2,  # type: ignore[arg-type]
            digest=bytes(32),
            payload=annexb([slice_nal(size=20)]),
        ),
        Gap(camera="gate", count=3),
    )
)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """A few random changes: bytes, bits, cuts, repeats, lengths and start codes in wrong places."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(out) + 1)
        action = rng.randrange(7)
        if action == 0 and at < len(out):
            out[at] = rng.randrange(256)
        elif action == 1 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif action == 2:
            del out[at : at + rng.randrange(1, 9)]
        elif action == 3:
            out[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif action == 4:
            out[at:at] = rng.choice((START, b"\x00\x00\x01", b"\xff" * 5, b"\x00" * 9, b"$\x00\xff\xff"))
        elif action == 5:
            begin = rng.randrange(len(out) + 1)
            out[at:at] = out[begin : begin + rng.randrange(64)]
        else:
            del out[max(at, 1) :]
    return bytes(out)


def fuzz_forms(rng: random.Random) -> None:
    """Conversions are bijections or ValueError."""
    data = mutate(annexb(UNIT), rng)
    if data.startswith(START):
        assert from_length_prefixed(to_length_prefixed(data)) == data
        assert sum(4 + len(nal) for nal in split_nals(data)) == len(data)
    for convert in (canonical, from_length_prefixed, annexb_from_length_prefixed, to_length_prefixed):
        try:
            result = convert(data)
        except ValueError:
            continue
        if convert is canonical:
            assert canonical(result) == result


def fuzz_inspector(rng: random.Random) -> None:
    """Sizes stay within bounds and inserting parameter sets never loses a byte."""
    inspector = H264Inspector(mutate(annexb([SPS, pps()]), rng))
    for _ in range(3):
        payload = mutate(annexb(UNIT), rng)
        info = inspector.inspect(payload)
        assert 0 <= info.width <= 16384
        assert 0 <= info.height <= 16384
        assert len(inspector.with_parameter_sets(payload)) >= len(payload)


def fuzz_depacketiser(rng: random.Random) -> None:
    """Units are canonical and bounded."""
    limit = rng.choice((64, 300, 1 << 20))
    depacketiser = H264Depacketiser(max_unit_bytes=limit)
    for packet in PACKETS * 2:
        for unit in depacketiser.feed(mutate(packet, rng) if rng.random() < 0.3 else packet, 1):
            assert unit.payload.startswith(START)
            assert len(unit.payload) <= limit
    depacketiser.flush()


def fuzz_connection(rng: random.Random) -> None:
    """However a broken connection is cut, its bytes are accounted for or it is given up."""
    parser = InterleavedParser()
    parser.attach(0, H264Depacketiser())
    data = mutate(CONNECTION, rng)
    try:
        while data:
            size = rng.randrange(1, 400)
            if rng.random() < 0.5:
                parser.feed(data[:size], 1)
            else:
                with parser.get_buffer() as room:
                    room[: len(data[:size])] = data[:size]
                parser.buffer_updated(len(data[:size]), 1)
            data = data[size:]
    except InterleavedError:
        return
    assert 0 <= parser.buffered_bytes <= len(CONNECTION) * 2 + 4096


def fuzz_reports(rng: random.Random) -> None:
    """RTCP never raises."""
    RtcpParser().parse(mutate(REPORT, rng))


def fuzz_batches(rng: random.Random) -> None:
    """BatchReader accepts and refuses what protobuf does, and reads the same."""
    data = mutate(BATCH, rng)
    try:
        expected = [item for item in FrameBatch.FromString(data).items if item.WhichOneof("kind")]
    except DecodeError:
        expected = None
    try:
        got = list(BatchReader(data))
    except ValueError:
        assert expected is None, data.hex()
        return
    assert expected is not None, data.hex()
    assert len(got) == len(expected), data.hex()
    for one, item in zip(got, expected, strict=True):
        if isinstance(one, WireFrame):
            sent = item.frame
            assert (one.camera, one.epoch, one.seq) == (sent.id.camera, sent.id.epoch, sent.id.seq), data.hex()
            assert one.payload == sent.payload, data.hex()
            assert one.join_point == sent.join_point, data.hex()
            assert one.recovers_after == sent.recovers_after, data.hex()
            assert one.damaged == sent.damaged, data.hex()
            assert one.digest == sent.digest, data.hex()
            assert (one.pts is not None) == sent.HasField("pts"), data.hex()
        else:
            assert one == getattr(item, str(item.WhichOneof("kind"))), data.hex()


TARGETS: tuple[Callable[[random.Random], None], ...] = (
    fuzz_forms,
    fuzz_inspector,
    fuzz_depacketiser,
    fuzz_connection,
    fuzz_reports,
    fuzz_batches,
)


def run(seconds: float, seed: int) -> dict[str, int]:
    """Rounds per target within the time; an AssertionError names the seed of the round that broke."""
    rounds = {target.__name__: 0 for target in TARGETS}
    deadline = time.monotonic() + seconds
    number = seed
    while time.monotonic() < deadline:
        for target in TARGETS:
            try:
                target(random.Random(number))
            except Exception as error:
                raise AssertionError(f"{target.__name__} broke with seed {number}: {error!r}") from error
            rounds[target.__name__] += 1
        number += 1
    return rounds


def main() -> None:
    """Command line."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    rounds = run(options.seconds, options.seed)
    json.dump({"rounds": rounds, "inputs": sum(rounds.values())}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
