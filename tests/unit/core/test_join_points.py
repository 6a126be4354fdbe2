"""The promise of a join point, kept by a real encoder and a real decoder: decoding that begins there is exact."""

from __future__ import annotations

import pytest

from broker.core.bitstream import (
    JOIN_EXACT,
    JOIN_NONE,
    JOIN_RECOVERS_AFTER,
    H264Inspector,
    UnitInfo,
    from_length_prefixed,
    to_length_prefixed,
)
from tests.unit.core import real_codec

FRAMES = 90


def encode(parameters: str, profile: str = "high") -> list[bytes]:
    options = {"x264-params": f"threads=1:scenecut=0:{parameters}", "profile": profile, "preset": "fast"}
    return real_codec.encode("libx264", options, FRAMES)


def decode(units: list[bytes], first: int = 0) -> dict[int, str]:
    return real_codec.decode("h264", dict(enumerate(units[first:], first)))


@pytest.mark.parametrize(
    ("parameters", "profile", "kinds"),
    [
        ("keyint=15:bframes=0", "high", {JOIN_NONE, JOIN_EXACT}),
        ("keyint=15:bframes=3:b-pyramid=normal", "high", {JOIN_NONE, JOIN_EXACT}),
        ("keyint=15:bframes=0:slices=4:aud=1", "high", {JOIN_NONE, JOIN_EXACT}),
        ("keyint=15:bframes=0", "baseline", {JOIN_NONE, JOIN_EXACT}),
        ("keyint=15:bframes=0:tff=1", "high", {JOIN_NONE, JOIN_EXACT}),
        ("keyint=20:bframes=3:open-gop=1", "high", {JOIN_NONE, JOIN_EXACT, JOIN_RECOVERS_AFTER}),
    ],
)
def test_decoding_that_begins_at_a_join_point_is_exact_from_where_it_says(
    parameters: str, profile: str, kinds: set[int]
) -> None:
    units = encode(parameters, profile)
    assert len(units) == FRAMES
    inspector = H264Inspector()
    infos = [inspector.inspect(unit) for unit in units]
    assert not any(info.malformed for info in infos)
    assert all(info.decodable and (info.width, info.height) == (96, 80) for info in infos)
    assert {info.join_point for info in infos} == kinds
    whole = decode(units)
    assert len(whole) == FRAMES
    joins = [seq for seq, info in enumerate(infos) if info.join_point != JOIN_NONE]
    assert len(joins) >= 4
    for seq in joins:
        assert inexact(units, seq, inspector, infos[seq], whole) == []


def inexact(units: list[bytes], seq: int, inspector: H264Inspector, info: UnitInfo, whole: dict[int, str]) -> list[int]:
    """Pictures that differ although the join point at `seq` promises that they do not."""
    inspector.inspect(units[seq])
    began = list(units)
    began[seq] = inspector.with_parameter_sets(units[seq])
    pictures = decode(began, seq)
    return [at for at in range(seq + info.recovers_after, FRAMES) if pictures.get(at) != whole[at]]


@pytest.mark.parametrize(
    "parameters",
    [
        "keyint=15:bframes=0",
        "keyint=15:bframes=3:b-pyramid=normal:ref=3",
        "keyint=20:bframes=3:open-gop=1",
        "keyint=20:intra-refresh=1:bframes=0:ref=1",
    ],
)
def test_frames_that_follow_no_damage_decode_exactly_whatever_was_lost(parameters: str) -> None:
    units = encode(parameters)
    whole = decode(units)
    for seed in range(12):
        lossy = real_codec.lose_some(units, H264Inspector(), f"{parameters} {seed}")
        pictures = real_codec.decode("h264", lossy.came)
        assert [seq for seq in lossy.exact if pictures.get(seq) != whole[seq]] == []
        assert len(lossy.exact) >= min(lossy.lost)


def test_a_recovery_point_is_the_encoders_own_promise() -> None:
    # x264 says exact_match for every refresh, and of the four here it breaks one: that is why damage is healed by
    # EXACT join points only.
    units = encode("keyint=20:intra-refresh=1:bframes=0:ref=1")
    inspector = H264Inspector()
    infos = [inspector.inspect(unit) for unit in units]
    joins = [seq for seq, info in enumerate(infos) if info.join_point == JOIN_RECOVERS_AFTER]
    assert joins == [20, 40, 60, 80]
    assert all(1 <= infos[seq].recovers_after <= 20 for seq in joins)
    whole = decode(units)
    kept = [seq for seq in joins if not inexact(units, seq, inspector, infos[seq], whole)]
    assert len(kept) >= 3


def test_units_survive_the_way_through_length_prefixes() -> None:
    for unit in encode("keyint=30:slices=3:aud=1"):
        assert from_length_prefixed(to_length_prefixed(unit)) == unit
