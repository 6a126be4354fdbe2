"""Bitstreams: the forms of NAL units, and what inspectors of three codecs say of a unit."""

from __future__ import annotations

from broker.core.annexb import (
    annexb_from_length_prefixed,
    canonical,
    canonical_from_nals,
    from_length_prefixed,
    split_nals,
    to_length_prefixed,
)
from broker.core.bitstream import (
    JOIN_EXACT,
    JOIN_NONE,
    JOIN_RECOVERS_AFTER,
    H264Inspector,
    H265Inspector,
    JpegInspector,
    UnitInfo,
)
from broker.sources.avcc import parse_avcc
from broker.sources.hvcc import parse_hvcc
from tests.fuzz.cases import Case
from tests.fuzz.mutate import Mutator
from tests.fuzz.target import OneByOne, Target, option

_START = b"\0\0\0\1"
_LARGEST = 65_535


class Annexb(OneByOne):
    """Forms of NAL units: conversions are bijections or ValueError."""

    name, share = "annexb", 10

    def check_one(self, data: bytes, options: bytes) -> None:
        self._forms(data)
        for size in (1, 2, 3, 4):
            try:
                result = annexb_from_length_prefixed(data, size)
            except ValueError:
                continue
            # A NAL unit with a start code inside is two from then on; its bytes stay.
            assert from_length_prefixed(to_length_prefixed(result)) == result
        for parse in (parse_avcc, parse_hvcc):
            try:
                record = parse(data)
            except ValueError:
                continue
            assert record is None or sum(map(len, record.parameter_sets)) <= len(data)

    def _forms(self, data: bytes) -> None:
        if data.startswith(_START):
            assert from_length_prefixed(to_length_prefixed(data)) == data
            nals = split_nals(data)
            assert sum(4 + len(nal) for nal in nals) == len(data)
        for convert in (canonical, from_length_prefixed):
            try:
                result = convert(data)
            except ValueError:
                continue
            if convert is from_length_prefixed:
                # The same length: the prefixes are as long as start codes.
                assert len(result) == len(data)
                continue
            assert canonical(result) == result
            assert canonical_from_nals(split_nals(result)) == result
            assert from_length_prefixed(to_length_prefixed(result)) == result


class Inspector(Target):
    """What an inspector says is bounded, the same each time, and inserting parameter sets loses no byte."""

    @property
    def inputs_a_case(self) -> float:
        """Parameter sets and four units."""
        return 5

    inspector: type[H264Inspector] | type[H265Inspector] | type[JpegInspector]

    def mutated(self, mutator: Mutator) -> Case:
        sets = mutator.changed(self.pick_part(mutator)) if mutator.random() < 0.3 else self.pick_part(mutator)
        return [
            mutator.options(), sets,
            *(mutator.changed(self.pick_part(mutator), self.pick_part(mutator)) for _ in range(4)),
        ]  # fmt: skip

    def pick_part(self, mutator: Mutator) -> bytes:
        return self.parts[mutator.below(len(self.parts))]

    def check(self, case: Case) -> int:
        begins_knowing = option(case[0], 0, 1) & 1
        known = case[1] if begins_knowing else b""
        one, other = self.inspector(known), self.inspector(known)
        for payload in case[1:]:
            info, again = one.inspect(payload), other.inspect(payload)
            self._bounded(info, payload)
            assert _facts(info) == _facts(again)
            assert one.parameter_sets == other.parameter_sets
            assert (one.width, one.height, one.complete) == (other.width, other.height, other.complete)
            filled = one.with_parameter_sets(payload)
            assert other.with_parameter_sets(payload) == filled
            assert len(filled) >= len(payload)
            if not info.malformed:
                # Whoever is asked reads one unit more: both are, so that they know the same ever after.
                again_filled = [inspector.with_parameter_sets(filled) for inspector in (one, other)]
                assert again_filled == [filled, filled], "parameter sets are put in twice"
        sets = one.parameter_sets
        if sets:
            assert from_length_prefixed(to_length_prefixed(sets)) == sets
            assert self.inspector(sets).parameter_sets == sets
        one.add_parameter_sets(case[-1])
        return len(case) - 1

    def _bounded(self, info: UnitInfo, payload: bytes) -> None:
        assert 0 <= info.width <= _LARGEST
        assert 0 <= info.height <= _LARGEST
        assert info.join_point in (JOIN_NONE, JOIN_EXACT, JOIN_RECOVERS_AFTER)
        assert 0 <= info.recovers_after <= 1 << 32
        assert 0 <= info.nals <= len(payload)


class H264(Inspector):
    name, share, inspector = "h264", 7, H264Inspector


class H265(Inspector):
    name, share, inspector = "h265", 7, H265Inspector


class Jpeg(Inspector):
    name, share, inspector = "jpeg", 6, JpegInspector
    words = tuple(
        bytes([0xFF, kind]) for kind in (0, 1, 0xC0, 0xC2, 0xC4, 0xD0, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xE0, 0xFF)
    )


def _facts(info: UnitInfo) -> tuple[object, ...]:
    return (
        info.join_point, info.recovers_after, info.has_sps, info.has_pps, info.decodable, info.malformed, info.width,
        info.height, info.nals, info.starts_picture,
    )  # fmt: skip
