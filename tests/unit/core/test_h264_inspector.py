"""What units say of themselves, and the damage that follows from others."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.core.bitstream import (
    JOIN_EXACT,
    JOIN_NONE,
    JOIN_RECOVERS_AFTER,
    DamageTracker,
    H264Inspector,
)
from tests.unit.core.h264_stream import AUD, START, SpsFields, annexb, pps, recovery_point, slice_nal, sps

SPS = sps(SpsFields())
PPS = pps()
NO_REORDERING = sps(SpsFields(vui=True, reorder=0))

sps_fields = st.builds(
    SpsFields,
    number=st.integers(0, 31),
    profile=st.sampled_from([66, 77, 88, 100, 110, 122, 244]),
    chroma=st.integers(0, 3),
    scaling=st.booleans(),
    poc_type=st.integers(0, 2),
    mbs_wide=st.integers(2, 512),
    map_units=st.integers(4, 256),
    frame_mbs_only=st.booleans(),
    crop=st.tuples(*[st.integers(0, 7)] * 4),
    vui=st.booleans(),
    hrd=st.booleans(),
    reorder=st.none() | st.integers(0, 4),
).map(lambda fields: fields if fields.profile >= 100 else SpsFields(**{**vars(fields), "chroma": 1}))


@given(fields=sps_fields)
def test_the_picture_size_is_read_from_every_form_of_sps(fields: SpsFields) -> None:
    info = H264Inspector().inspect(annexb([sps(fields), pps(0, fields.number), slice_nal(idr=True)]))
    assert (info.width, info.height) == fields.size
    assert info.decodable
    assert not info.malformed


def test_an_idr_picture_is_an_exact_join_point() -> None:
    info = H264Inspector().inspect(annexb([AUD, SPS, PPS, slice_nal(idr=True)]))
    assert (info.join_point, info.recovers_after) == (JOIN_EXACT, 0)
    assert info.has_sps
    assert info.has_pps
    assert info.nals == 4


@pytest.mark.parametrize(
    ("parameter_set", "sei", "intra", "expected"),
    [
        (NO_REORDERING, None, True, (JOIN_NONE, 0)),
        (NO_REORDERING, recovery_point(0), True, (JOIN_EXACT, 0)),
        (NO_REORDERING, recovery_point(0), False, (JOIN_RECOVERS_AFTER, 0)),
        (NO_REORDERING, recovery_point(10), False, (JOIN_RECOVERS_AFTER, 10)),
        (NO_REORDERING, recovery_point(10, exact=False), False, (JOIN_NONE, 0)),
        (NO_REORDERING, recovery_point(0, broken=True), True, (JOIN_RECOVERS_AFTER, 17)),
        (SPS, recovery_point(0), True, (JOIN_RECOVERS_AFTER, 17)),
        (sps(SpsFields(poc_type=2)), recovery_point(0), True, (JOIN_EXACT, 0)),
        (sps(SpsFields(profile=66)), recovery_point(0), True, (JOIN_EXACT, 0)),
        (sps(SpsFields(vui=True, reorder=2)), recovery_point(0), True, (JOIN_RECOVERS_AFTER, 17)),
    ],
)
def test_recovery_points_join_as_far_as_they_promise(
    parameter_set: bytes, sei: bytes | None, intra: bool, expected: tuple[int, int]
) -> None:
    inspector = H264Inspector(annexb([parameter_set, PPS]))
    info = inspector.inspect(annexb([*([sei] if sei else []), slice_nal(intra=intra)]))
    assert (info.join_point, info.recovers_after) == expected


def test_units_nobody_refers_to_lengthen_recovery() -> None:
    inspector = H264Inspector(annexb([NO_REORDERING, PPS]))
    for reference in (True, False, True, False, True):
        inspector.inspect(annexb([slice_nal(reference=reference)]))
    assert inspector.inspect(annexb([recovery_point(5), slice_nal()])).recovers_after == 10


def test_a_unit_without_its_first_slice_is_malformed_and_no_join_point() -> None:
    info = H264Inspector(annexb([SPS, PPS])).inspect(annexb([slice_nal(idr=True, first_mb=120)]))
    assert info.malformed
    assert not info.starts_picture
    assert info.join_point == JOIN_NONE


def test_slices_that_name_unknown_sets_are_not_decodable() -> None:
    inspector = H264Inspector()
    assert not inspector.inspect(annexb([slice_nal(idr=True)])).decodable
    inspector.add_parameter_sets(annexb([SPS]))
    assert not inspector.inspect(annexb([slice_nal(idr=True)])).decodable
    assert not inspector.complete
    inspector.add_parameter_sets(annexb([PPS]))
    assert inspector.inspect(annexb([slice_nal(idr=True)])).decodable
    assert inspector.complete
    assert not inspector.inspect(annexb([slice_nal(idr=True, pps_number=3)])).decodable


def test_parameter_sets_are_the_latest_sps_before_pps() -> None:
    inspector = H264Inspector()
    assert inspector.parameter_sets == b""
    assert inspector.add_parameter_sets(annexb([PPS, SPS]))
    assert inspector.parameter_sets == annexb([SPS, PPS])
    larger = sps(SpsFields(mbs_wide=80))
    info = inspector.inspect(annexb([larger, PPS, slice_nal(idr=True)]))
    assert info.parameter_sets_changed
    assert info.width == 1280
    assert inspector.parameter_sets == annexb([larger, PPS])
    assert not inspector.inspect(annexb([larger, PPS, slice_nal(idr=True)])).parameter_sets_changed


def test_the_size_is_that_of_the_sps_the_slices_name() -> None:
    second = sps(SpsFields(number=3, mbs_wide=10, map_units=10))
    inspector = H264Inspector(annexb([SPS, second, pps(0, 0), pps(1, 3)]))
    assert inspector.inspect(annexb([slice_nal(idr=True, pps_number=1)])).width == 160
    assert inspector.inspect(annexb([slice_nal(idr=True, pps_number=0)])).width == 640


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ([slice_nal(idr=True)], [SPS, PPS, slice_nal(idr=True)]),
        ([AUD, slice_nal(idr=True)], [AUD, SPS, PPS, slice_nal(idr=True)]),
        ([AUD, SPS, slice_nal(idr=True)], [AUD, SPS, PPS, slice_nal(idr=True)]),
        ([AUD, PPS, slice_nal(idr=True)], [AUD, SPS, PPS, slice_nal(idr=True)]),
        ([SPS, PPS, slice_nal(idr=True)], [SPS, PPS, slice_nal(idr=True)]),
        ([recovery_point(0), slice_nal(intra=True)], [SPS, PPS, recovery_point(0), slice_nal(intra=True)]),
        ([slice_nal()], [slice_nal()]),
    ],
)
def test_missing_sets_are_inserted_once_behind_the_delimiter_at_join_points(
    unit: list[bytes], expected: list[bytes]
) -> None:
    inspector = H264Inspector(annexb([SPS, PPS]))
    payload = annexb(unit)
    inspector.inspect(payload)
    completed = inspector.with_parameter_sets(payload)
    assert completed == annexb(expected)
    assert inspector.with_parameter_sets(completed) == completed


@given(
    data=st.one_of(
        st.binary(max_size=300), st.lists(st.sampled_from([0, 1, 6, 0x65, 0x67, 0x68, 255]), max_size=200).map(bytes)
    ),
    kind=st.sampled_from([0x65, 0x41, 0x67, 0x68, 0x06, 0x09]),
)
@example(data=b"", kind=0x67)
def test_no_unit_is_more_than_malformed(data: bytes, kind: int) -> None:
    inspector = H264Inspector(annexb([SPS, PPS]))
    payload = START + bytes([kind]) + data
    info = inspector.inspect(payload)
    assert 0 <= info.width <= 16384
    assert 0 <= info.recovers_after <= 65535 * 17 + 17
    completed = inspector.with_parameter_sets(payload)
    assert len(completed) >= len(payload)
    inspector.inspect(completed)


@given(fields=sps_fields, data=st.data())
def test_a_mutated_sps_gives_a_sane_size_or_none(fields: SpsFields, data: st.DataObject) -> None:
    raw = bytearray(sps(fields))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(1, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(2, len(raw))) :]
    info = H264Inspector().inspect(annexb([bytes(raw), PPS, slice_nal(idr=True)]))
    assert 0 <= info.width <= 16384
    assert 0 <= info.height <= 16384


E = JOIN_EXACT
N = JOIN_NONE
R = JOIN_RECOVERS_AFTER


@pytest.mark.parametrize(
    ("frames", "follows"),
    [
        # (damaged, join point, recovers_after)
        ([(False, E, 0), (False, N, 0)], [False, False]),
        ([(False, N, 0), (False, E, 0), (False, N, 0)], [True, False, False]),
        ([(False, E, 0), (True, N, 0), (False, N, 0), (False, E, 0)], [False, False, True, False]),
        ([(False, E, 0), (True, N, 0), (False, R, 0), (False, N, 0)], [False, False, True, True]),
        ([(True, E, 0), (False, N, 0), (False, E, 0), (False, N, 0)], [False, True, False, False]),
        ([(False, R, 2), (False, N, 0), (False, N, 0), (False, N, 0)], [True, True, False, False]),
        ([(False, R, 0), (False, N, 0)], [False, False]),
        ([(False, R, 3), (False, N, 0), (False, R, 3), (False, N, 0), (False, N, 0)], [True, True, True, False, False]),
    ],
)
def test_frames_follow_damage_until_the_next_exact_join_point(
    frames: list[tuple[bool, int, int]], follows: list[bool]
) -> None:
    tracker = DamageTracker()
    assert [tracker.observe(*frame) for frame in frames] == follows


def test_a_loss_between_frames_is_damage_too() -> None:
    tracker = DamageTracker(joined=True)
    assert not tracker.observe(False, N)
    tracker.lost()
    assert tracker.observe(False, N)
    assert not tracker.observe(False, E)
    assert not tracker.observe(False, N)
