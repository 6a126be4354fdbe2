"""What a unit behind a loss may say of itself, against a sender who knows what was in the packets that never came.

The promise: a unit that is not called damaged lacks nothing that its pictures are decoded from. What it may lack is
SEI, and parameter sets that none of its slices name or that stand in it again, and those only where the sender puts
them before the first parameter set, and uses no delimiters.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.bitstream import split_nals
from broker.core.rtp import Depacketiser, H264Depacketiser, H265Depacketiser, Unit
from tests.unit.core import h264_stream as h264
from tests.unit.core import h265_stream as h265
from tests.unit.core.h264_stream import annexb


@dataclass(frozen=True)
class Part:
    """One NAL as its sender knows it. `number` is its own, `names` the set that it names."""

    kind: str
    nal: bytes
    number: int = 0
    names: int = 0


@dataclass(frozen=True)
class Coding:
    depacketiser: Callable[[], Depacketiser]
    packetise: Callable[..., list[bytes]]
    delimiter: Part
    sei: Callable[[int], Part]
    sets: Callable[[int, int, int], tuple[Part, ...]]
    """The sets of one PPS: (its number, that of its SPS, version) → parts in their usual order."""
    slice: Callable[[bool, bool, int, int], Part]
    """(is a key picture, is the first, number of its PPS, size)."""


# Bits are written slowly, and hypothesis wants the same ones again and again.
@functools.cache
def h264_sets(pps: int, sps: int, version: int) -> tuple[Part, ...]:
    return (
        Part("sps", h264.sps(h264.SpsFields(number=sps, mbs_wide=20 + version)), sps),
        Part("pps", h264.pps(pps, sps) + bytes([version + 1]), pps, sps),
    )


@functools.cache
def h265_sets(pps: int, sps: int, version: int) -> tuple[Part, ...]:
    return (
        Part("vps", h265.vps(sps, bytes([version + 1])), sps),
        Part("sps", h265.sps(h265.SpsFields(number=sps, vps=sps, width=320 + 16 * version)), sps, sps),
        Part("pps", h265.pps(pps, sps, bytes([version + 1])), pps, sps),
    )


@functools.cache
def h264_slice(is_key: bool, is_first: bool, pps: int, size: int) -> Part:
    nal = h264.slice_nal(idr=is_key, first_mb=0 if is_first else 7, pps_number=pps, size=size)
    return Part("slice", nal, names=pps)


@functools.cache
def h265_slice(is_key: bool, is_first: bool, pps: int, size: int) -> Part:
    nal = h265.slice_nal(h265.IDR_W_RADL if is_key else h265.TRAIL_R, first=is_first, pps_number=pps, size=size)
    return Part("slice", nal, names=pps)


H264 = Coding(
    H264Depacketiser,
    h264.packetise,
    Part("delimiter", h264.AUD),
    lambda number: Part("sei", b"\x06\x05" + bytes([1, number, 0x80])),
    h264_sets,
    h264_slice,
)
H265 = Coding(
    H265Depacketiser,
    h265.packetise,
    Part("delimiter", h265.DELIMITER),
    lambda number: Part("sei", h265.nal(h265.PREFIX_SEI, bytes([5, 1, number, 0x80]))),
    h265_sets,
    h265_slice,
)
CODINGS = pytest.mark.parametrize("coding", [H264, H265], ids=["h264", "h265"])


@st.composite
def streams(draw: st.DrawFn, coding: Coding, is_orderly: bool) -> list[list[Part]]:
    """Units of one stream. Orderly: delimiters always or never; all sets in their usual order; SEI; slices."""
    delimited = draw(st.booleans())
    numbers = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))
    units = []
    for number in range(draw(st.integers(3, 10))):
        key = draw(st.booleans()) or (is_orderly and number == 0)
        pps = draw(st.sampled_from(numbers))
        sets: list[Part] = []
        if key or draw(st.integers(0, 5)) == 0:
            version = draw(st.integers(0, 1))
            sets = [part for one in numbers for part in coding.sets(one, one, version)]
            if is_orderly:
                # A usual stream begins with its sets.
                if number and key and draw(st.integers(0, 3)) == 0:
                    sets = []
            else:
                sets = draw(st.permutations(sets))[: draw(st.integers(0, len(sets)))]
        sei = [coding.sei(number + 1)] if draw(st.booleans()) else []
        head = [*sets, *sei] if is_orderly or draw(st.booleans()) else [*sei, *sets]
        slices = [
            coding.slice(key, i == 0, pps if i == 0 else draw(st.sampled_from(numbers)), 5 + 9 * i)
            for i in range(draw(st.integers(1, 3)))
        ]
        units.append([*([coding.delimiter] if delimited else []), *head, *slices])
    return units


def play(coding: Coding, units: list[list[Part]], lost: set[int], aggregate: bool) -> tuple[list[Unit], list[bool]]:
    """What came out; for each unit sent whether all of its packets came."""
    depacketiser = coding.depacketiser()
    got: list[Unit] = []
    is_whole: list[bool] = []
    sequence = 0
    for number, unit in enumerate(units):
        packets = coding.packetise([p.nal for p in unit], sequence, number * 3000, mtu=40, aggregate=aggregate)
        # The very first packet cannot be missed: nobody knows of it.
        came = [packet for i, packet in enumerate(packets, sequence) if i not in lost or i == 0]
        got += [one for packet in came for one in depacketiser.feed(packet, 0)]
        is_whole.append(len(came) == len(packets))
        sequence += len(packets)
    return got, is_whole


def lacks_only_what_decoding_needs_not(sent: list[Part], got: Unit) -> bool:
    here = [bytes(nal) for nal in split_nals(got.payload)]
    nals = [part.nal for part in sent]
    if here != nals[len(nals) - len(here) :]:
        return False
    missing, rest = sent[: len(nals) - len(here)], sent[len(nals) - len(here) :]
    stands_here = {(part.kind, part.number) for part in rest}
    named = {("pps", part.names) for part in rest if part.kind == "slice"}
    named |= {("sps", part.names) for part in rest if (part.kind, part.number) in named and part.kind == "pps"}
    named |= {("vps", part.names) for part in rest if (part.kind, part.number) in named and part.kind == "sps"}
    return all(
        part.kind == "sei"
        or (
            part.kind in ("vps", "sps", "pps")
            and ((part.kind, part.number) in stands_here or (part.kind, part.number) not in named)
        )
        for part in missing
    )


@CODINGS
@given(data=st.data(), lost=st.sets(st.integers(1, 60), max_size=12), aggregate=st.booleans())
def test_a_unit_of_a_usual_sender_that_is_not_called_damaged_is_what_was_sent(
    coding: Coding, data: st.DataObject, lost: set[int], aggregate: bool
) -> None:
    units = data.draw(streams(coding, is_orderly=True))
    got, _ = play(coding, units, lost, aggregate)
    for unit in got:
        if not unit.damaged:
            sent = annexb([part.nal for part in units[unit.rtp_timestamp // 3000]])
            assert unit.payload == sent


@CODINGS
@given(data=st.data(), lost=st.sets(st.integers(1, 60), max_size=12), aggregate=st.booleans())
def test_a_unit_that_is_not_called_damaged_lacks_nothing_that_it_is_decoded_from(
    coding: Coding, data: st.DataObject, lost: set[int], aggregate: bool
) -> None:
    units = data.draw(streams(coding, is_orderly=False))
    got, _ = play(coding, units, lost, aggregate)
    for unit in got:
        if not unit.damaged:
            assert lacks_only_what_decoding_needs_not(units[unit.rtp_timestamp // 3000], unit)


@CODINGS
@given(data=st.data(), lost=st.sets(st.integers(1, 60), max_size=12), aggregate=st.booleans())
def test_a_whole_unit_that_begins_with_what_proves_it_is_not_called_damaged(
    coding: Coding, data: st.DataObject, lost: set[int], aggregate: bool
) -> None:
    units = data.draw(streams(coding, is_orderly=True))
    got, is_whole = play(coding, units, lost, aggregate)
    by_number = {unit.rtp_timestamp // 3000: unit for unit in got}
    first_set = coding.sets(0, 0, 0)[0].kind
    for number, sent in enumerate(units):
        if not is_whole[number] or number not in by_number:
            continue
        sets = {(part.kind, part.number) for part in sent}
        proves = sent[0].kind == "delimiter" or (
            sent[0].kind == first_set and all(("pps", part.names) in sets for part in sent if part.kind == "slice")
        )
        if proves:
            assert not by_number[number].damaged


@CODINGS
def test_a_key_picture_with_its_sets_behind_a_loss_is_whole(coding: Coding) -> None:
    """A loss between units, with the packets of the key picture all there: decoding recovers at once."""
    plain = [coding.slice(False, True, 0, 100)]
    key = [*coding.sets(0, 0, 0), coding.sei(1), coding.slice(True, True, 0, 300)]
    units = [key, plain, plain, key]
    packets = [coding.packetise([p.nal for p in unit], 100 * n, n * 3000, mtu=60) for n, unit in enumerate(units)]
    depacketiser = coding.depacketiser()
    # The sequence numbers jump between all units: something was lost before each.
    got = [one for part in packets for packet in part for one in depacketiser.feed(packet, 0)]
    assert [(one.damaged, one.lost_before) for one in got] == [
        (False, False), (True, True), (True, True), (False, True),
    ]  # fmt: skip
    assert [one.payload for one in got] == [annexb([p.nal for p in unit]) for unit in units]


@CODINGS
@pytest.mark.parametrize("missing", ["first set", "all sets", "set of the second slice", "first slice"])
def test_a_key_picture_that_may_lack_something_stays_damaged(coding: Coding, missing: str) -> None:
    sets = coding.sets(0, 0, 0)
    second = coding.slice(True, False, 1, 30)
    unit = {
        "first set": [*sets[1:], coding.slice(True, True, 0, 30)],
        "all sets": [coding.slice(True, True, 0, 30)],
        "set of the second slice": [*sets, coding.slice(True, True, 0, 30), second],
        "first slice": [*sets, *coding.sets(1, 1, 0), second],
    }[missing]
    depacketiser = coding.depacketiser()
    opening = coding.packetise([coding.slice(True, True, 0, 30).nal], 0, 0)
    behind = coding.packetise([part.nal for part in unit], 10, 3000)
    got = [one for packet in [*opening, *behind] for one in depacketiser.feed(packet, 0)]
    assert [(one.damaged, one.lost_before) for one in got] == [(False, False), (True, True)]


@CODINGS
@pytest.mark.parametrize("kind", ["pps", "sps"])
def test_a_set_that_only_later_units_name_may_be_what_was_lost(coding: Coding, kind: str) -> None:
    sets = coding.sets(0, 0, 0)
    later = coding.sets(1, 0, 0)[-1] if kind == "pps" else coding.sets(0, 1, 0)[-2]
    key = coding.slice(True, True, 0, 30)
    depacketiser = coding.depacketiser()
    units = [[*sets, later, key], [*sets, key], [*sets, later, key]]
    packets = [coding.packetise([part.nal for part in unit], 20 * n, n * 3000) for n, unit in enumerate(units)]
    got = [one for unit in packets for packet in unit for one in depacketiser.feed(packet, 0)]
    assert [one.damaged for one in got] == [False, True, False]


@CODINGS
def test_in_a_stream_with_delimiters_a_unit_without_one_lacks_it(coding: Coding) -> None:
    key = [*coding.sets(0, 0, 0), coding.slice(True, True, 0, 30)]
    depacketiser = coding.depacketiser()
    opening = coding.packetise([coding.delimiter.nal, *[p.nal for p in key]], 0, 0)
    without = coding.packetise([p.nal for p in key], 20, 3000)
    with_it = coding.packetise([coding.delimiter.nal, coding.slice(True, True, 0, 30).nal], 40, 6000)
    got = [one for packet in [*opening, *without, *with_it] for one in depacketiser.feed(packet, 0)]
    assert [(one.damaged, one.lost_before) for one in got] == [(False, False), (True, True), (False, True)]


@CODINGS
def test_sets_that_came_apart_behind_a_loss_are_part_of_the_unit_they_prove(coding: Coding) -> None:
    sets = coding.sets(0, 0, 0)
    depacketiser = coding.depacketiser()
    got = []
    for sequence, (part, at) in enumerate(
        [(coding.slice(False, True, 0, 9), 0), *[(one, 1) for one in sets], (coding.slice(True, True, 0, 9), 2)]
    ):
        for packet in coding.packetise([part.nal], sequence + (5 if sequence else 0), at):
            got += depacketiser.feed(packet, 0)
    assert [(one.damaged, one.lost_before) for one in got] == [(False, False), (False, True)]


@CODINGS
def test_sei_of_a_unit_whose_picture_never_came_is_no_part_of_the_next(coding: Coding) -> None:
    key = [*coding.sets(0, 0, 0), coding.slice(True, True, 0, 30)]
    depacketiser = coding.depacketiser()
    opening = coding.packetise([part.nal for part in key], 0, 0)
    headless = coding.packetise([coding.sei(1).nal, coding.slice(False, True, 0, 30).nal], 20, 3000, mtu=20)
    behind = coding.packetise([part.nal for part in key], 40, 6000)
    got = [one for packet in [*opening, headless[0], *behind] for one in depacketiser.feed(packet, 0)]
    assert [one.payload for one in got] == [annexb([part.nal for part in key])] * 2
    assert [(one.damaged, one.lost_before) for one in got] == [(False, False), (False, True)]
