"""The decoder core on streams that libx264 makes here: identity, joining, exactness, losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

import av
import numpy as np
import pytest

from broker.pixel.decode import Decoded, NotDecoded, Outcome, StreamDecoder
from broker.pixel.picture import MissingReason
from mesh.errors import Unsupported
from trueframe.v1 import frames_pb2

WIDTH, HEIGHT = 96, 64


@dataclass(frozen=True)
class Unit:
    seq: int
    payload: bytes
    join_point: int
    shown: int
    recovers_after: int = 0
    damaged: bool = False
    follows_damage: bool = False
    received_ns: int = 0
    monotonic_ns: int = 0


def source_picture(number: int) -> av.VideoFrame:
    """A picture whose mean luma tells its number, on a little texture."""
    y = np.full((HEIGHT, WIDTH), 16 + number % 100 * 2, np.uint8)
    y[::7, ::5] += 3
    frame = av.VideoFrame.from_ndarray(np.vstack([y, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)]), format="yuv420p")
    frame.pts = number
    return frame


@cache
def stream(count: int, *, gop: int = 12, b_frames: int = 0) -> Sequence[Unit]:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {
        "preset": "ultrafast", "tune": "" if b_frames else "zerolatency", "qp": "10",
        "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_frames}:b-adapt=0:open-gop=0",
    }  # fmt: skip
    packets = [p for n in range(count) for p in encoder.encode(source_picture(n))] + encoder.encode(None)
    return [
        Unit(
            seq,
            bytes(p),
            frames_pb2.JOIN_POINT_EXACT if p.is_keyframe else frames_pb2.JOIN_POINT_NONE,
            shown=p.pts,
            received_ns=1000 + seq,
        )
        for seq, p in enumerate(packets)
    ]


def run(decoder: StreamDecoder, units: Sequence[Unit]) -> list[Outcome]:
    return [outcome for unit in units for outcome in decoder.feed(unit)]


def pictures(outcomes: Sequence[Outcome]) -> dict[int, Decoded]:
    return {outcome.seq: outcome for outcome in outcomes if isinstance(outcome, Decoded)}


def told(outcomes: Sequence[Outcome]) -> list[int]:
    """Every seq told, in order; the property that counts is that each comes once."""
    seqs: list[int] = []
    for outcome in outcomes:
        seqs += [outcome.seq] if isinstance(outcome, Decoded) else range(outcome.first, outcome.last + 1)
    return sorted(seqs)


def number_shown(frame: av.VideoFrame) -> int:
    return round((float(np.median(frame.to_ndarray()[:HEIGHT])) - 16) / 2)


def decoder(last_seq: int = -1) -> StreamDecoder:
    return StreamDecoder(frames_pb2.CODEC_H264, last_seq)


@pytest.mark.parametrize("b_frames", [0, 2])
def test_every_picture_carries_the_id_of_its_own_unit(b_frames: int) -> None:
    units = stream(40, b_frames=b_frames)
    core = decoder()
    outcomes = run(core, units) + core.flush()
    assert told(outcomes) == list(range(40))
    for seq, outcome in pictures(outcomes).items():
        assert number_shown(outcome.frame) == units[seq].shown
        assert outcome.received_ns == 1000 + seq
    assert len(pictures(outcomes)) == 40
    assert not any(p.inexact for p in pictures(outcomes).values())


def test_without_reordering_a_picture_is_out_as_soon_as_its_unit_is_in() -> None:
    core = decoder()
    for unit in stream(20):
        assert [o.seq for o in core.feed(unit) if isinstance(o, Decoded)] == [unit.seq]


def test_units_before_the_first_join_point_are_told() -> None:
    units = stream(30)[5:]
    outcomes = run(decoder(last_seq=4), units)
    assert outcomes[0] == NotDecoded(5, 5, MissingReason.BEFORE_JOIN_POINT, 1005)
    assert told(outcomes) == list(range(5, 30))
    assert min(pictures(outcomes)) == 12


def test_a_hole_is_told_and_waited_out() -> None:
    units = stream(40)
    outcomes = run(decoder(), [*units[:15], *units[18:]])
    assert NotDecoded(15, 17, MissingReason.NOT_RECEIVED) in outcomes
    assert told(outcomes) == list(range(40))
    assert {s for s in range(40) if s not in pictures(outcomes)} == set(range(15, 24))
    assert not any(p.inexact for p in pictures(outcomes).values())


def test_a_hole_does_not_lose_pictures_held_back_for_reordering() -> None:
    units = stream(40, b_frames=2)
    core = decoder()
    outcomes = run(core, [*units[:9], *units[12:]]) + core.flush()
    assert told(outcomes) == list(range(40))
    assert set(range(9)) <= set(pictures(outcomes))


def test_a_refused_unit_is_told_and_taints_what_follows_up_to_the_next_exact_join_point() -> None:
    units = list(stream(36))
    units[14] = replace(units[14], payload=b"\0\0\0\1\x41" + b"\xff" * 40)
    core = decoder()
    outcomes = run(core, units) + core.flush()
    assert told(outcomes) == list(range(36))
    failed = [o for o in outcomes if isinstance(o, NotDecoded)]
    assert [(o.first, o.reason) for o in failed] in ([(14, MissingReason.DECODE_FAILED)], [])
    shown = pictures(outcomes)
    assert all(shown[seq].inexact for seq in range(15, 24))
    assert not any(shown[seq].inexact for seq in [*range(14), *range(24, 36)])


def test_a_unit_without_a_picture_is_told_as_failed() -> None:
    units = list(stream(24))
    units[6] = replace(units[6], payload=b"\0\0\0\1\x09\xf0")  # an access unit delimiter and nothing else
    core = decoder()
    outcomes = run(core, units) + core.flush()
    assert told(outcomes) == list(range(24))
    order = [o.seq if isinstance(o, Decoded) else o.first for o in outcomes]
    assert order == list(range(24)), "each is told in its place"
    assert 6 not in pictures(outcomes)
    assert [seq for seq, p in pictures(outcomes).items() if p.inexact] == [7, 8, 9, 10, 11]


def test_damage_told_by_the_broker_makes_pictures_inexact() -> None:
    units = list(stream(24))
    units[3] = replace(units[3], damaged=True)
    units[4:12] = [replace(u, follows_damage=True) for u in units[4:12]]
    shown = pictures(run(decoder(), units))
    assert [seq for seq in shown if shown[seq].inexact] == list(range(3, 12))


def test_an_open_join_point_is_inexact_until_it_recovers() -> None:
    units = [replace(u, join_point=frames_pb2.JOIN_POINT_NONE) for u in stream(24)[12:]]
    units[0] = replace(units[0], join_point=frames_pb2.JOIN_POINT_RECOVERS_AFTER, recovers_after=3)
    shown = pictures(run(decoder(last_seq=11), units))
    assert [seq for seq in shown if shown[seq].inexact] == [12, 13, 14]


def test_skipping_waits_for_a_join_point() -> None:
    units = stream(40)
    core = decoder()
    outcomes = run(core, units[:5]) + core.skip(9, MissingReason.THINNED) + run(core, units[10:])
    assert told(outcomes) == list(range(40))
    assert NotDecoded(5, 9, MissingReason.THINNED) in outcomes
    assert [o.reason for o in outcomes if isinstance(o, NotDecoded) and o.first == 10] == [
        MissingReason.BEFORE_JOIN_POINT
    ]
    assert 12 in pictures(outcomes)


def test_a_unit_given_twice_is_ignored() -> None:
    units = stream(12)
    core = decoder()
    assert told(run(core, [*units[:6], *units[3:]])) == list(range(12))


def test_decoding_twice_gives_the_same_bytes() -> None:
    units = stream(30, b_frames=2)
    first, second = ([o.frame.to_ndarray() for o in pictures(run(decoder(), units)).values()] for _ in range(2))
    assert len(first) == len(second)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(Unsupported, match="codec 99"):
        StreamDecoder(99)


def test_noise_never_crashes_and_is_always_told() -> None:
    rng = np.random.default_rng(5)
    units = list(stream(60))
    for seq in rng.choice(60, 25, replace=False):
        payload = bytearray(units[seq].payload)
        for at in rng.integers(4, len(payload), 6):
            payload[at] = int(rng.integers(0, 256))
        units[seq] = replace(units[seq], payload=bytes(payload[: int(rng.integers(5, len(payload) + 1))]), damaged=True)
    core = decoder()
    outcomes = run(core, units) + core.flush()
    assert told(outcomes) == list(range(60))
