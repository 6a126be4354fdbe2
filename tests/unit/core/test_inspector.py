"""Reading units, where H.264 and H.265 do the same: malformed ones, sets that are put in, sets without end."""

from __future__ import annotations

import pytest

from broker.core.bitstream import split_nals
from tests.unit.core.h264_stream import annexb
from tests.unit.core.nal_codecs import BOTH, H264, H265, NalCodec

MALFORMED = {
    "h264": [
        b"",
        b"\x00\x00\x00\x01",
        b"\x00\x00\x01\x65\x88",
        b"hello",
        annexb([b"\xe5\x88\x84"]),
        annexb([b"\x1e\x00"]),
        annexb([b"\x60\x00"]),
        annexb([b"\x65"]),
        annexb([b"\x67"]),
        annexb([b"\x67\x64\x00\x1f\x00"]),
        annexb([b"\x67" + b"\xff" * 5000]),
        annexb([b"\x68" + b"\x00" * 40]),
        annexb([H264.delimiter]),
        annexb([b"\x65\x88\x84\x00\x00\x01\x65\x88"]),
    ],
    "h265": [
        b"",
        b"\x00\x00\x00\x01",
        b"\x00\x00\x00\x01\x26",
        b"\x00\x00\x01\x26\x01\x80",
        b"hello world",
        annexb([b"\xa6\x01\x80"]),
        annexb([b"\x26\x00\x80"]),
        annexb([b"\x26"]),
        annexb([b"\x26\x01"]),
        annexb([b"\x40\x01"]),
        annexb([b"\x42\x01\x01\x02"]),
        annexb([b"\x42\x01" + b"\xff" * 5000]),
        annexb([b"\x42\x01\x0f" + b"\x55" * 60]),
        annexb([b"\x44\x01" + b"\x00" * 40]),
        annexb([H265.delimiter]),
        annexb([b"\x26\x01\xc0\x84\x00\x00\x01\x26\x01"]),
    ],
}
both = pytest.mark.parametrize("codec", BOTH.values(), ids=BOTH)


@pytest.mark.parametrize(("codec", "payload"), [(name, one) for name, every in MALFORMED.items() for one in every])
def test_malformed_units_are_called_so(codec: str, payload: bytes) -> None:
    assert BOTH[codec].inspector().inspect(payload).malformed


@both
def test_a_unit_that_lacks_nothing_is_not_copied(codec: NalCodec) -> None:
    inspector = codec.inspector(annexb(codec.sets))
    payload = annexb([codec.delimiter, *codec.sets, codec.idr])
    assert inspector.with_parameter_sets(payload) is payload


@both
def test_sets_beyond_all_measure_are_not_kept(codec: NalCodec) -> None:
    inspector = codec.inspector()
    inspector.inspect(annexb([one + b"\xaa" * 5000 for one in codec.sets]))
    assert inspector.parameter_sets == b""


@both
def test_sets_without_end_are_not_kept_to_be_inserted_everywhere(codec: NalCodec) -> None:
    inspector = codec.inspector(annexb(codec.sets))
    for number in range(1, codec.pps_numbers):
        inspector.inspect(annexb([codec.pps(number) + b"\xaa" * 1000, codec.idr]))
    assert len(inspector.parameter_sets) < 20_000
    assert inspector.inspect(annexb([codec.pps(50) + b"\xaa" * 1000])).malformed
    # A set that is replaced makes room for its successor, for ever.
    for filler in range(200):
        renewed = [*codec.sets[:-1], codec.pps(0) + bytes([filler + 1]) * 20]
        assert not inspector.inspect(annexb(renewed)).malformed


@both
def test_inserting_sets_never_exceeds_the_bound_of_a_unit(codec: NalCodec) -> None:
    inspector = codec.inspector(annexb(codec.sets))
    largest = annexb([codec.large_idr((16 << 20) - 20)])
    assert inspector.with_parameter_sets(largest) == largest


@both
def test_with_parameter_sets_reads_a_unit_it_has_not_seen(codec: NalCodec) -> None:
    inspector = codec.inspector(annexb(codec.sets))
    inspector.inspect(annexb([codec.slice]))
    filled = inspector.with_parameter_sets(annexb([codec.idr]))
    assert split_nals(filled) == [*codec.sets, codec.idr]
