"""What H.265 units say of themselves."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.core.bitstream import JOIN_EXACT, JOIN_NONE, JOIN_RECOVERS_AFTER, DamageTracker, H265Inspector
from tests.unit.core import h265_stream as h265
from tests.unit.core.h264_stream import START, annexb
from tests.unit.core.h265_stream import DELIMITER, SpsFields, pps, recovery_point, slice_nal, sps, vps

VPS = vps()
SPS = sps()
PPS = pps()
SETS = annexb([VPS, SPS, PPS])
IDR = slice_nal(h265.IDR_W_RADL)
NO_REORDERING = annexb([VPS, sps(SpsFields(reorder=0)), PPS])

sps_fields = st.builds(
    SpsFields,
    number=st.integers(0, 15),
    vps=st.integers(0, 15),
    sub_layers=st.integers(0, 6),
    sub_layers_have=st.integers(0, 2**12 - 1),
    chroma=st.integers(0, 3),
    width=st.integers(32, 8192),
    height=st.integers(32, 4320),
    crop=st.tuples(*[st.integers(0, 7)] * 4),
    ordering_of_each=st.booleans(),
    reorder=st.integers(0, 4),
    latency_plus1=st.integers(0, 5),
)


@given(fields=sps_fields)
def test_the_picture_size_is_read_from_every_form_of_sps(fields: SpsFields) -> None:
    sets = [vps(fields.vps), sps(fields), pps(3, fields.number)]
    inspector = H265Inspector()
    info = inspector.inspect(annexb([*sets, slice_nal(h265.IDR_N_LP, pps_number=3)]))
    assert (info.width, info.height) == fields.size
    assert info.decodable
    assert not info.malformed
    assert inspector.complete
    assert inspector.parameter_sets == annexb(sets)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (h265.IDR_W_RADL, (JOIN_EXACT, 0)),
        (h265.IDR_N_LP, (JOIN_EXACT, 0)),
        (h265.BLA_W_LP, (JOIN_EXACT, 0)),
        (17, (JOIN_EXACT, 0)),
        (h265.BLA_N_LP, (JOIN_EXACT, 0)),
        (h265.CRA, (JOIN_RECOVERS_AFTER, 17)),
        (22, (JOIN_NONE, 0)),
        (h265.TRAIL_R, (JOIN_NONE, 0)),
        (h265.RASL_R, (JOIN_NONE, 0)),
        (h265.RADL_N, (JOIN_NONE, 0)),
    ],
)
def test_kinds_of_pictures_join_as_the_standard_says(kind: int, expected: tuple[int, int]) -> None:
    info = H265Inspector(SETS).inspect(annexb([slice_nal(kind)]))
    assert (info.join_point, info.recovers_after) == expected
    assert info.recovers_surely == (kind == h265.CRA)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (SpsFields(reorder=0), (JOIN_EXACT, 0)),
        (SpsFields(reorder=1, latency_plus1=1), (JOIN_RECOVERS_AFTER, 2)),
        (SpsFields(reorder=2, latency_plus1=4), (JOIN_RECOVERS_AFTER, 6)),
        (SpsFields(reorder=2, latency_plus1=4, sub_layers=2), (JOIN_RECOVERS_AFTER, 6)),
        (SpsFields(reorder=2), (JOIN_RECOVERS_AFTER, 17)),
        (SpsFields(reorder=5), (JOIN_RECOVERS_AFTER, 32)),
        (SpsFields(reorder=15), (JOIN_RECOVERS_AFTER, 64)),
        (SpsFields(reorder=2, latency_plus1=1_000_000), (JOIN_RECOVERS_AFTER, 17)),
    ],
)
def test_a_cra_recovers_behind_as_many_leading_pictures_as_the_sps_allows(
    fields: SpsFields, expected: tuple[int, int]
) -> None:
    info = H265Inspector(annexb([VPS, sps(fields), PPS])).inspect(annexb([slice_nal(h265.CRA)]))
    assert (info.join_point, info.recovers_after) == expected


@pytest.mark.parametrize(
    ("sets", "sei", "expected"),
    [
        (NO_REORDERING, recovery_point(0), (JOIN_RECOVERS_AFTER, 0)),
        (NO_REORDERING, recovery_point(10), (JOIN_RECOVERS_AFTER, 10)),
        (NO_REORDERING, recovery_point(-3), (JOIN_RECOVERS_AFTER, 0)),
        (NO_REORDERING, recovery_point(10, exact=False), (JOIN_NONE, 0)),
        (NO_REORDERING, recovery_point(0, broken=True), (JOIN_RECOVERS_AFTER, 16)),
        (SETS, recovery_point(5), (JOIN_RECOVERS_AFTER, 5 + 16 + 2)),
        (NO_REORDERING, recovery_point(40000), (JOIN_NONE, 0)),
    ],
)
def test_recovery_points_join_as_far_as_they_promise(sets: bytes, sei: bytes, expected: tuple[int, int]) -> None:
    info = H265Inspector(sets).inspect(annexb([sei, slice_nal()]))
    assert (info.join_point, info.recovers_after) == expected
    assert not info.recovers_surely


def test_a_unit_without_its_first_slice_is_malformed_and_no_join_point() -> None:
    info = H265Inspector(SETS).inspect(annexb([slice_nal(h265.IDR_N_LP, first=False)]))
    assert info.malformed
    assert not info.starts_picture
    assert info.join_point == JOIN_NONE


def test_slices_of_different_kinds_in_one_picture_are_malformed() -> None:
    inspector = H265Inspector(SETS)
    assert inspector.inspect(annexb([IDR, slice_nal(h265.TRAIL_R, first=False)])).malformed
    assert not inspector.inspect(annexb([IDR, slice_nal(h265.IDR_W_RADL, first=False)])).malformed


def test_other_layers_say_nothing_of_the_base_layer() -> None:
    inspector = H265Inspector(SETS)
    other = bytearray(sps(SpsFields(width=1920)))
    other[1] |= 8
    info = inspector.inspect(annexb([bytes(other), IDR, slice_nal(h265.TRAIL_R, layer=1)]))
    assert not info.malformed
    assert (info.join_point, info.has_sps, info.width) == (JOIN_EXACT, False, 640)
    # Nor is its SPS taken for the one that the base layer lacks.
    unit = annexb([bytes(other), IDR])
    inspector.inspect(unit)
    assert inspector.with_parameter_sets(unit) == SETS + unit


def test_slices_that_name_unknown_sets_are_not_decodable() -> None:
    inspector = H265Inspector()
    for one in (SPS, PPS, VPS):
        assert not inspector.inspect(annexb([IDR])).decodable
        assert not inspector.complete
        inspector.add_parameter_sets(annexb([one]))
    assert inspector.inspect(annexb([IDR])).decodable
    assert inspector.complete
    assert not inspector.inspect(annexb([slice_nal(h265.IDR_N_LP, pps_number=3)])).decodable
    assert not H265Inspector(annexb([vps(1), SPS, PPS])).complete


def test_parameter_sets_are_the_latest_in_order() -> None:
    inspector = H265Inspector()
    assert inspector.parameter_sets == b""
    assert inspector.add_parameter_sets(annexb([PPS, SPS, VPS]))
    assert inspector.parameter_sets == SETS
    larger = sps(SpsFields(width=1280))
    info = inspector.inspect(annexb([larger, PPS, IDR]))
    assert info.parameter_sets_changed
    assert info.width == 1280
    assert inspector.parameter_sets == annexb([VPS, larger, PPS])
    assert not inspector.inspect(annexb([larger, PPS, IDR])).parameter_sets_changed


def test_the_size_is_that_of_the_sps_the_slices_name() -> None:
    second = sps(SpsFields(number=3, width=160, height=160, crop=(0, 0, 0, 0)))
    inspector = H265Inspector(annexb([VPS, SPS, second, pps(0, 0), pps(1, 3)]))
    assert inspector.inspect(annexb([slice_nal(h265.IDR_N_LP, pps_number=1)])).width == 160
    assert inspector.inspect(annexb([IDR])).width == 640


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ([IDR], [VPS, SPS, PPS, IDR]),
        ([DELIMITER, IDR], [DELIMITER, VPS, SPS, PPS, IDR]),
        ([DELIMITER, SPS, IDR], [DELIMITER, VPS, SPS, PPS, IDR]),
        ([DELIMITER, PPS, IDR], [DELIMITER, VPS, SPS, PPS, IDR]),
        ([DELIMITER, VPS, PPS, IDR], [DELIMITER, VPS, SPS, PPS, IDR]),
        ([VPS, SPS, IDR], [VPS, SPS, PPS, IDR]),
        ([VPS, SPS, PPS, IDR], [VPS, SPS, PPS, IDR]),
        ([recovery_point(0), slice_nal(h265.CRA)], [VPS, SPS, PPS, recovery_point(0), slice_nal(h265.CRA)]),
        ([slice_nal()], [slice_nal()]),
    ],
)
def test_missing_sets_are_inserted_once_behind_the_delimiter_at_join_points(
    unit: list[bytes], expected: list[bytes]
) -> None:
    inspector = H265Inspector(SETS)
    payload = annexb(unit)
    inspector.inspect(payload)
    completed = inspector.with_parameter_sets(payload)
    assert completed == annexb(expected)
    assert inspector.with_parameter_sets(completed) == completed


@given(
    data=st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from([0, 1, 6, 0x26, 0x40, 0x42, 0x44, 255]), max_size=200).map(bytes),
    ),
    kind=st.integers(0, 63),
)
@example(data=b"", kind=33)
def test_no_unit_is_more_than_malformed(data: bytes, kind: int) -> None:
    inspector = H265Inspector(SETS)
    payload = START + bytes([kind << 1, 1]) + data
    info = inspector.inspect(payload)
    assert 0 <= info.width <= 16384
    assert 0 <= info.recovers_after <= 32767 + 64 + 16 + 16
    completed = inspector.with_parameter_sets(payload)
    assert len(completed) >= len(payload)
    inspector.inspect(completed)


@given(fields=sps_fields, data=st.data())
def test_a_mutated_sps_gives_a_sane_size_or_none(fields: SpsFields, data: st.DataObject) -> None:
    raw = bytearray(sps(fields))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(2, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(3, len(raw))) :]
    info = H265Inspector().inspect(annexb([VPS, bytes(raw), PPS, IDR]))
    assert 0 <= info.width <= 16384
    assert 0 <= info.height <= 16384


E, N, R = JOIN_EXACT, JOIN_NONE, JOIN_RECOVERS_AFTER


@pytest.mark.parametrize(
    ("frames", "follows"),
    [
        # (damaged, join point, recovers_after, recovers_surely)
        ([(False, E, 0, False), (True, N, 0, False), (False, R, 2, True), (False, N, 0, False), (False, N, 0, False)],
         [False, False, True, True, False]),
        ([(False, E, 0, False), (True, N, 0, False), (False, R, 1, False), (False, N, 0, False), (False, N, 0, False)],
         [False, False, True, True, True]),
        ([(True, R, 1, True), (False, N, 0, False), (False, N, 0, False)], [False, True, True]),
        ([(False, R, 2, True), (True, N, 0, False), (False, N, 0, False), (False, N, 0, False), (False, N, 0, False)],
         [False, False, True, True, True]),
        ([(True, N, 0, False), (False, R, 2, True), (True, N, 0, False), (False, N, 0, False), (False, R, 0, True)],
         [False, True, False, True, False]),
        ([(True, N, 0, False), (False, R, 3, True), (False, R, 3, True), (False, N, 0, False), (False, N, 0, False)],
         [False, True, True, True, False]),
    ],
)  # fmt: skip
def test_a_cra_heals_damage_once_its_leading_pictures_are_past(
    frames: list[tuple[bool, int, int, bool]], follows: list[bool]
) -> None:
    tracker = DamageTracker(joined=True)
    assert [tracker.observe(*frame) for frame in frames] == follows


def test_a_loss_among_its_leading_pictures_ends_what_a_cra_began_to_heal() -> None:
    tracker = DamageTracker(joined=True)
    tracker.lost()
    assert tracker.observe(False, R, 2, True)
    tracker.lost()
    assert [tracker.observe(False, N) for _ in range(5)] == [True] * 5
