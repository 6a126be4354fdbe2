"""Units of a file become frames: their ids and times, holes in the file, what is left out."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av

from broker.client import BatchReader, EpochEnded, EpochStarted, Gap, StreamItem, WireFrame
from broker.core import canonical
from broker.sources.client import FileUnit
from media_center.import_minting import Minter
from tests.footage import coded_clip, unit
from trueframe.v1 import frames_pb2

START = 1_700_000_000_000_000_000
MS = 1_000_000
SECOND = 1_000 * MS
CLIP = coded_clip(60)


def mint(due: list[int], *, epoch: int = START, payloads: list[bytes] | None = None) -> tuple[Minter, list[StreamItem]]:
    """Frames of a file whose units are due at these nanoseconds."""
    minter = Minter("gate", epoch, START, frames_pb2.CODEC_H264, (1, 25))
    payloads = payloads or [coded.payload for coded in CLIP]
    pairs = zip(payloads, due, strict=False)
    raw = [minter.unit(FileUnit(payload, ns * 25 // SECOND, ns)) for payload, ns in pairs]
    raw.append(minter.end("over"))
    return minter, list(BatchReader(b"".join(item for items in raw for item in items)))


def frames_of(items: list[StreamItem]) -> list[WireFrame]:
    return [item for item in items if isinstance(item, WireFrame)]


def regular(count: int, step_ms: int = 40) -> list[int]:
    return [number * step_ms * MS for number in range(count)]


def test_frames_are_received_when_the_file_says_and_its_epoch_is_an_import() -> None:
    minter, items = mint(regular(30), epoch=START + 7)
    started, ended = items[0], items[-1]
    assert isinstance(started, EpochStarted)
    assert (started.epoch, started.origin, started.started_ns) == (START + 7, frames_pb2.EPOCH_ORIGIN_IMPORT, START)
    assert (started.width, started.height) == (128, 64)
    assert isinstance(ended, EpochEnded)
    assert (ended.last_seq, ended.reason) == (29, frames_pb2.EPOCH_END_REASON_END_OF_STREAM)
    frames = frames_of(items)
    assert [frame.received_ns for frame in frames] == [START + due for due in regular(30)]
    assert [frame.monotonic_ns for frame in frames] == regular(30)
    assert [frame.seq for frame in frames] == list(range(30))
    assert (minter.holes, minter.jumps_back, minter.last_ns) == (0, 0, START + regular(30)[-1])


def test_times_that_do_not_begin_at_zero_are_counted_from_the_first() -> None:
    _, items = mint([due + 3600 * 1000 * MS for due in regular(5)])
    assert frames_of(items)[0].received_ns == START
    assert frames_of(items)[4].received_ns == START + 160 * MS


def test_times_that_stand_still_or_stumble_increase_all_the_same() -> None:
    due = [0, 40 * MS, 40 * MS, 40 * MS, 30 * MS, 160 * MS, 200 * MS]
    received = [frame.received_ns for frame in frames_of(mint(due)[1])]
    assert all(later > earlier for earlier, later in pairwise(received))
    assert received[5:] == [START + 160 * MS, START + 200 * MS]


def test_a_hole_in_the_file_is_a_gap_of_unknown_count_and_what_rests_on_it_follows_damage() -> None:
    due = [ns + (5000 * MS if number >= 18 else 0) for number, ns in enumerate(regular(40))]
    minter, items = mint(due)
    assert minter.holes == 1
    (gap,) = [item for item in items if isinstance(item, Gap)]
    assert (gap.after.seq, gap.before.seq) == (17, 18)
    assert not gap.HasField("count")
    assert gap.reason == frames_pb2.GAP_REASON_RECORDER_LOST
    frames = frames_of(items)
    assert frames[18].received_ns - frames[17].received_ns == 5040 * MS
    assert [frame.follows_damage for frame in frames] == [18 <= number < 24 for number in range(40)]


def test_a_file_with_a_picture_every_two_seconds_has_no_holes() -> None:
    minter, items = mint(regular(30, 2000))
    assert minter.holes == 0
    assert not [item for item in items if isinstance(item, Gap)]


def test_a_clock_that_goes_back_goes_on_from_where_it_was() -> None:
    due = [*regular(20), *regular(20)]
    minter, items = mint(due)
    assert minter.jumps_back == 1
    received = [frame.received_ns - START for frame in frames_of(items)]
    assert received == regular(40)


def test_units_before_parameter_sets_and_those_that_are_none_are_told() -> None:
    payloads = [unit(1), unit(2), CLIP[0].payload, CLIP[1].payload, b"", CLIP[2].payload]
    minter, items = mint(regular(6), payloads=payloads)
    assert (minter.undecodable_units, minter.refused_units, minter.frames) == (2, 1, 3)
    told = [(item.reason, item.count) for item in items if isinstance(item, Gap)]
    assert told == [(frames_pb2.GAP_REASON_BEFORE_PARAMETER_SETS, 2), (frames_pb2.GAP_REASON_REFUSED, 1)]


def test_a_change_of_picture_size_is_a_new_epoch() -> None:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    picture = av.VideoFrame(64, 48, "yuv420p")
    picture.pts = 0
    packets = [*encoder.encode(picture), *encoder.encode(None)]
    small = canonical(bytes(packets[0]))
    _, items = mint(regular(4), payloads=[CLIP[0].payload, CLIP[1].payload, small, CLIP[0].payload])
    started = [item for item in items if isinstance(item, EpochStarted)]
    assert [(one.width, one.height) for one in started] == [(128, 64), (64, 48), (128, 64)]
    assert [one.epoch for one in started] == sorted({one.epoch for one in started})
    assert [frame.seq for frame in frames_of(items)] == [0, 1, 0, 0]
    ended = [item.reason for item in items if isinstance(item, EpochEnded)]
    assert ended == [4, 4, frames_pb2.EPOCH_END_REASON_END_OF_STREAM]


def test_a_unit_whose_bytes_are_missing_is_damaged_and_changes_no_parameter_sets() -> None:
    minter = Minter("gate", START, START, frames_pb2.CODEC_H264, (1, 25))
    other = coded_clip(1, codec="h264", gop=1)[0].payload.replace(b"\x67", b"\x67\xff", 1)  # a set that was torn
    units = [CLIP[0].payload, CLIP[1].payload, other, CLIP[12].payload]
    raw = [
        minter.unit(FileUnit(payload, number, number * 40 * MS, damaged=number == 2))
        for number, payload in enumerate(units)
    ]
    raw.append(minter.end("over"))
    items = list(BatchReader(b"".join(item for part in raw for item in part)))
    frames = frames_of(items)
    assert [frame.damaged for frame in frames] == [False, False, True, False]
    assert minter.damaged_units == 1
    assert len([item for item in items if isinstance(item, EpochStarted)]) == 1
    # The sets that worked before work on.
    assert (frames[3].follows_damage, frames[3].payload) == (False, CLIP[12].payload)


def test_what_an_edit_list_hides_before_the_first_picture_lies_before_the_start() -> None:
    minter = Minter("gate", START, START, frames_pb2.CODEC_H264, (1, 25), shown_from_ns=10 * 40 * MS)
    raw = [
        minter.unit(FileUnit(coded.payload, number, number * 40 * MS, is_hidden=number < 10))
        for number, coded in enumerate(CLIP)
    ]
    raw.append(minter.end("over"))
    items = list(BatchReader(b"".join(item for part in raw for item in part)))
    frames = frames_of(items)
    assert [frame.received_ns for frame in frames] == [START + (number - 10) * 40 * MS for number in range(60)]
    assert (frames[0].monotonic_ns, frames[10].monotonic_ns) == (0, 400 * MS)
    assert (minter.first_ns, minter.hidden_units) == (START - 400 * MS, 10)
    assert isinstance(items[0], EpochStarted)
    assert items[0].started_ns == START - 400 * MS


def test_b_frames_are_received_at_even_distances_whatever_the_decoding_times() -> None:
    shown = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
    due = [0, 1, 1, 1, 80, 80, 80, 120, 200, 200]
    minter = Minter("gate", START, START, frames_pb2.CODEC_H264, (1, 25))
    raw = [minter.unit(FileUnit(coded.payload, pts, ns * MS)) for coded, pts, ns in zip(CLIP, shown, due, strict=False)]
    raw.append(minter.end("over"))
    frames = frames_of(list(BatchReader(b"".join(item for items in raw for item in items))))
    assert [frame.received_ns - START for frame in frames] == regular(10)
    assert [frame.pts for frame in frames] == shown
