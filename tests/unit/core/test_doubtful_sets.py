"""Parameter sets that nobody vouches for: random bytes may read as one, and join points must not carry it on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.bitstream import H264Inspector, H265Inspector, split_nals
from tests.unit.core import h264_stream as h264
from tests.unit.core import h265_stream as h265
from tests.unit.core.h264_stream import annexb


@dataclass(frozen=True)
class Syntax:
    """How one codec writes what is played here."""

    inspector: type[H264Inspector] | type[H265Inspector]
    above: tuple[bytes, ...]
    """What its SPS name."""
    sps: Callable[[int, int], bytes]
    """By number and width."""
    pps: Callable[[int, int, bytes], bytes]
    """By number, SPS and content."""
    idr: Callable[[int], bytes]
    """By PPS."""
    trailing: Callable[[int], bytes]


H264 = Syntax(
    H264Inspector,
    (),
    lambda number, width: h264.sps(h264.SpsFields(number=number, mbs_wide=width // 16)),
    lambda number, sps, content: h264.pps(number, sps) + content,
    lambda pps: h264.slice_nal(idr=True, pps_number=pps),
    lambda pps: h264.slice_nal(pps_number=pps),
)
H265 = Syntax(
    H265Inspector,
    (h265.vps(),),
    lambda number, width: h265.sps(h265.SpsFields(number=number, width=width)),
    h265.pps,
    lambda pps: h265.slice_nal(h265.IDR_W_RADL, pps_number=pps),
    lambda pps: h265.slice_nal(pps_number=pps),
)

both = pytest.mark.parametrize("syntax", [H264, H265], ids=["h264", "h265"])


def sets_of(syntax: Syntax) -> list[bytes]:
    """What a stream begins with: one of each."""
    return [*syntax.above, syntax.sps(0, 640), syntax.pps(0, 0, b"")]


def completed(inspector: H264Inspector | H265Inspector, nals: list[bytes], damaged: bool = False) -> list[bytes]:
    payload = annexb(nals)
    inspector.inspect(payload, damaged)
    return [bytes(nal) for nal in split_nals(inspector.with_parameter_sets(payload))]


@both
@pytest.mark.parametrize("begins", ["sdp", "stream"])
def test_a_set_that_no_slice_names_is_not_inserted(syntax: Syntax, begins: str) -> None:
    sets = sets_of(syntax)
    inspector = syntax.inspector(annexb(sets) if begins == "sdp" else b"")
    inspector.inspect(annexb([*sets, syntax.idr(0)]))
    # A whole unit of one packet whose random bytes read as a PPS.
    inspector.inspect(annexb([syntax.pps(9, 0, b"\xd7" * 900)]))
    inspector.inspect(annexb([syntax.trailing(0)]))
    assert completed(inspector, [syntax.idr(0)]) == [*sets, syntax.idr(0)]
    assert inspector.parameter_sets == annexb(sets)


@both
def test_a_set_that_a_slice_names_later_is_inserted_from_then_on(syntax: Syntax) -> None:
    sets, second = sets_of(syntax), syntax.pps(9, 0, b"")
    inspector = syntax.inspector(annexb(sets))
    inspector.inspect(annexb([second, syntax.trailing(0)]))
    assert completed(inspector, [syntax.idr(0)]) == [*sets, syntax.idr(0)]
    # What is damaged names nothing.
    inspector.inspect(annexb([syntax.trailing(9)]), True)
    assert completed(inspector, [syntax.idr(0)]) == [*sets, syntax.idr(0)]
    assert inspector.inspect(annexb([syntax.trailing(9)])).decodable
    assert completed(inspector, [syntax.idr(0)]) == [*sets, second, syntax.idr(0)]


@both
def test_sets_that_come_as_a_unit_of_their_own_are_inserted_where_a_slice_names_them(syntax: Syntax) -> None:
    sets = sets_of(syntax)
    inspector = syntax.inspector()
    assert not inspector.inspect(annexb(sets)).malformed
    assert inspector.complete
    assert inspector.parameter_sets == annexb(sets)
    assert completed(inspector, [syntax.idr(0)]) == [*sets, syntax.idr(0)]
    larger = syntax.sps(0, 1280)
    inspector.inspect(annexb([larger]))
    # It holds from the next sequence on, and until then nothing changes.
    assert inspector.inspect(annexb([syntax.trailing(0)])).width == 640
    assert completed(inspector, [syntax.idr(0)]) == [*syntax.above, larger, sets[-1], syntax.idr(0)]
    assert inspector.width == 1280


@both
def test_a_damaged_unit_changes_no_set_that_works(syntax: Syntax) -> None:
    sets = sets_of(syntax)
    inspector = syntax.inspector(annexb(sets))
    wrong = [syntax.sps(0, 64), syntax.pps(0, 0, b"\xd7" * 30)]
    assert inspector.inspect(annexb([*wrong, syntax.idr(0)]), True).width == 640
    assert completed(inspector, [syntax.trailing(0)]) == [syntax.trailing(0)]
    assert completed(inspector, [syntax.idr(0)]) == [*sets, syntax.idr(0)]
    # The same from a sound unit does.
    assert inspector.inspect(annexb([*wrong, syntax.idr(0)])).width == 64
    assert completed(inspector, [syntax.idr(0)]) == [*syntax.above, *wrong, syntax.idr(0)]


@both
def test_a_set_of_a_damaged_unit_is_better_than_none(syntax: Syntax) -> None:
    sets = sets_of(syntax)
    inspector = syntax.inspector()
    inspector.inspect(annexb([*sets, syntax.idr(0)]), True)
    assert inspector.complete
    assert inspector.inspect(annexb([syntax.trailing(0)])).decodable
    assert completed(inspector, [syntax.idr(0)]) == [*sets, syntax.idr(0)]


@both
def test_a_set_that_names_what_nobody_knows_is_not_kept(syntax: Syntax) -> None:
    sets, orphan = sets_of(syntax), syntax.pps(9, 7, b"")
    inspector = syntax.inspector(annexb(sets))
    assert inspector.inspect(annexb([orphan])).malformed
    assert not inspector.inspect(annexb([orphan, syntax.idr(0)])).malformed
    inspector.inspect(annexb([syntax.sps(7, 64)]))
    assert not inspector.inspect(annexb([syntax.trailing(9)])).decodable
    assert completed(inspector, [syntax.idr(0)]) == [*sets, syntax.idr(0)]


@both
def test_a_known_set_that_comes_again_undoes_what_came_between(syntax: Syntax) -> None:
    sets = sets_of(syntax)
    inspector = syntax.inspector(annexb(sets))
    inspector.inspect(annexb([syntax.pps(0, 0, b"\xd7")]))
    inspector.inspect(annexb([*sets, syntax.idr(0)]))
    assert completed(inspector, [syntax.idr(0)]) == [*sets, syntax.idr(0)]


@both
def test_doubtful_sets_never_crowd_out_those_that_are_meant(syntax: Syntax) -> None:
    sets = sets_of(syntax)
    inspector = syntax.inspector(annexb(sets))
    for number in range(1, 64):
        assert not inspector.inspect(annexb([syntax.pps(number, 0, b"\xd7" * 1400)])).malformed
    meant = syntax.pps(63, 0, b"\x55" * 3000)
    assert not inspector.inspect(annexb([meant, syntax.trailing(63)])).malformed
    assert completed(inspector, [syntax.idr(0)]) == [*sets, meant, syntax.idr(0)]


@dataclass(frozen=True)
class Step:
    """A unit of a sound stream: which sets it carries, in which content, and which PPS its slices name."""

    opens: bool
    sps: tuple[int, ...]
    pps: tuple[int, ...]
    content: int
    names: int
    alone: bool
    """Its sets come as a unit of their own before it."""


steps = st.lists(
    st.builds(
        Step,
        opens=st.booleans(),
        sps=st.lists(st.integers(0, 2), unique=True, max_size=3).map(tuple),
        pps=st.lists(st.integers(0, 3), unique=True, max_size=4).map(tuple),
        content=st.integers(0, 3),
        names=st.integers(0, 3),
        alone=st.booleans(),
    ),
    min_size=1,
    max_size=14,
)


@both
@given(steps=steps)
def test_in_a_sound_stream_every_set_is_inserted_once_it_was_named_or_came_with_a_join_point(
    syntax: Syntax, steps: list[Step]
) -> None:
    start = [*syntax.above, *(syntax.sps(n, 640) for n in range(3)), *(syntax.pps(n, n % 3, b"") for n in range(2))]
    inspector = syntax.inspector(annexb(start))
    # The old rule: all that ever came, the latest of each number; and which of these have proven themselves.
    latest = {("sps", n): syntax.sps(n, 640) for n in range(3)} | {("pps", n): syntax.pps(n, n, b"") for n in range(2)}
    proven = dict(latest)
    active = 0
    for raw in [Step(True, (), (), 0, 0, False), *steps]:
        # Only a picture that opens a sequence may come with other SPS, and slices name what has come.
        step = raw if raw.opens else replace(raw, sps=())
        carried = {("sps", n): syntax.sps(n, 640 + 16 * step.content) for n in step.sps}
        carried |= {("pps", n): syntax.pps(n, n % 3, bytes([step.content + 1]) * step.content) for n in step.pps}
        latest |= carried
        names = step.names if ("pps", step.names) in latest else 0
        if step.opens:
            active = names % 3
        elif names % 3 != active:
            # All pictures of a sequence are of one SPS.
            names = active
        if step.opens and not step.alone:
            proven |= carried
        for key in (("pps", names), ("sps", names % 3)):
            proven[key] = latest[key]
        if carried and step.alone:
            inspector.inspect(annexb(list(carried.values())))
            carried = {}
        picture = syntax.idr(names) if step.opens else syntax.trailing(names)
        got = completed(inspector, [*carried.values(), picture])
        if not step.opens:
            assert got == [*carried.values(), picture]
            continue
        by_kind = sorted(proven, key=lambda key: (key[0] == "pps", key[1]))
        lacking = [key for key in by_kind if key not in carried]
        expected = [
            *syntax.above,
            *(proven[key] for key in lacking if key[0] == "sps"),
            *(one for key, one in carried.items() if key[0] == "sps"),
            *(proven[key] for key in lacking if key[0] == "pps"),
            *(one for key, one in carried.items() if key[0] == "pps"),
            picture,
        ]
        assert got == expected


@both
@given(
    junk=st.lists(st.binary(min_size=1, max_size=60), max_size=8), kinds=st.lists(st.sampled_from([7, 8]), max_size=8)
)
def test_units_of_random_sets_between_sound_ones_leave_no_trace_that_no_slice_named(
    syntax: Syntax, junk: list[bytes], kinds: list[int]
) -> None:
    sets = sets_of(syntax)
    inspector = syntax.inspector(annexb(sets))
    for data, kind in zip(junk, kinds, strict=False):
        head = bytes([0x60 | kind]) if syntax is H264 else bytes([(kind + 26) << 1, 1])
        inspector.inspect(annexb([head + h264.escape(data + b"\x80")]))
    inspector.inspect(annexb([*sets, syntax.idr(0)]))
    assert completed(inspector, [syntax.idr(0)]) == [*sets, syntax.idr(0)]
    assert inspector.width == 640
