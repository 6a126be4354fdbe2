"""Seals: written when a segment closes, chained, taken off and put on again around stops, and after crashes."""

from __future__ import annotations

import errno
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_center.chain import HEAD_NAME, Chain, read_head
from media_center.cutter import Cutter, Limits
from media_center.keys import FootageSigner, TrustedKeys, is_signed
from media_center.lane import Lane
from media_center.recovery import recover
from media_center.removed import REMOVED_NAME, Removal, RemovedLog, read_removed
from media_center.scan import scan
from media_center.seal import FOUND, NO_SEAL, RESUMABLE, SEAL_SIZE, MalformedSeal, Seal, parse_seal, sign_seal
from media_center.seal_files import content_of, read_seal
from media_center.segment import SegmentFile
from media_center.verify_camera import verify_camera
from media_center.verify_report import Outcome
from tests.footage import EPOCH, SECOND, Script, close, footage_of, record, replayed

LIMITS = Limits(segment_ns=3 * SECOND, max_segment_ns=6 * SECOND)


@pytest.fixture
def signer() -> FootageSigner:
    return FootageSigner.generate()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "media"


def segments(root: Path) -> list[Path]:
    return sorted((root / "gate").glob("*.mp4"))


def seals(root: Path) -> list[Seal]:
    found = [read_seal(path) for path in segments(root)]
    assert all(found)
    return [seal for seal in found if seal is not None]


def outcome(root: Path, signer: FootageSigner) -> Outcome:
    return verify_camera([root / "gate"], TrustedKeys([signer.public_key])).outcome


def test_every_closed_segment_is_sealed_over_its_content_and_chained_to_the_one_before(
    root: Path, signer: FootageSigner
) -> None:
    script = Script().start().frames(95)
    record(root, script.items, signer=signer)

    found = seals(root)
    assert [seal.number for seal in found] == [1, 2, 3, 4]
    assert [seal.previous for seal in found] == [NO_SEAL, *(seal.hash for seal in found[:-1])]
    assert [(seal.first_seq, seal.last_seq, seal.frames) for seal in found[:2]] == [(0, 29, 30), (30, 59, 30)]
    assert [seal.flags for seal in found] == [0, 0, 0, RESUMABLE]
    for path, seal in zip(segments(root), found, strict=True):
        assert seal.segment == path.name
        assert seal.size == path.stat().st_size - SEAL_SIZE
        assert is_signed(signer.public_key, seal.signature, seal.signed)
        with path.open("rb") as file:
            assert content_of(file.fileno(), scan(path).boxes).digest() == seal.content
    assert read_head(root / "gate") == found[-1]
    assert replayed(footage_of(root)) == script.raw, "readers do not mind"


def test_an_orderly_stop_seals_the_open_segment_and_recording_goes_on_in_it(root: Path, signer: FootageSigner) -> None:
    script = Script().start().frames(50)
    record(root, script.items, signer=signer)
    before = seals(root)
    record(root, script.frames(20).items[51:], signer=signer)

    after = seals(root)
    assert len(segments(root)) == 3
    assert after[0] == before[0]
    assert (after[1].number, after[1].frames, after[1].flags) == (2, 30, 0), "one seal, over all of it, no flag"
    assert replayed(footage_of(root)) == script.raw
    assert outcome(root, signer) is Outcome.GOOD


def test_what_a_crash_left_open_is_sealed_with_a_flag(root: Path, signer: FootageSigner) -> None:
    script = Script().start().frames(95)
    record(root, script.items, signer=signer)
    for path in segments(root)[1:]:  # as if the process had died before both seals
        os.truncate(path, path.stat().st_size - SEAL_SIZE)
    first = read_seal(segments(root)[0])
    assert first is not None
    (root / "gate" / HEAD_NAME).write_bytes(first.encode())
    (root / "gate" / "catalogue").unlink()

    record(root, script.frames(30).items[96:], signer=signer)

    found = seals(root)
    assert found[0] == first
    assert [seal.number for seal in found] == [1, 2, 3, 4, 5]
    assert [seal.flags for seal in found] == [0, FOUND, FOUND, FOUND, RESUMABLE]
    assert outcome(root, signer) is Outcome.GOOD


def test_what_a_crash_left_open_stays_flagged_through_orderly_stops(root: Path, signer: FootageSigner) -> None:
    script = Script().start().frames(35)
    record(root, script.items, signer=signer)
    newest = segments(root)[-1]
    os.truncate(newest, newest.stat().st_size - SEAL_SIZE)  # as if the process had died before this seal
    first = read_seal(segments(root)[0])
    assert first is not None
    (root / "gate" / HEAD_NAME).write_bytes(first.encode())
    record(root, script.frames(5).items[36:], signer=signer)
    assert [seal.flags for seal in seals(root)] == [0, FOUND | RESUMABLE]
    record(root, script.frames(5).items[41:], signer=signer)
    assert [seal.flags for seal in seals(root)] == [0, FOUND | RESUMABLE]
    record(root, script.frames(30).items[46:], signer=signer)

    assert [seal.flags for seal in seals(root)] == [0, FOUND, RESUMABLE]
    assert outcome(root, signer) is Outcome.GOOD


def test_a_segment_changed_while_nobody_recorded_is_left_as_it_is_and_a_new_one_begins(
    root: Path, signer: FootageSigner
) -> None:
    script = Script().start().frames(20)
    record(root, script.items, signer=signer)
    (segment,) = segments(root)
    data = bytearray(segment.read_bytes())
    data[40] ^= 1  # in the header, where no checksum looks
    segment.write_bytes(data)

    record(root, script.frames(10).items[21:], signer=signer)

    assert segment.read_bytes() == data, "evidence"
    assert len(segments(root)) == 2
    assert replayed(footage_of(root)) == script.raw, "and nothing is lost"
    assert outcome(root, signer) is Outcome.BROKEN


def test_a_closing_segment_whose_sync_fails_is_sealed_over_what_was_confirmed(
    root: Path, signer: FootageSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script().start().frames(40)
    lane = Lane("gate", root / "gate", None, Chain("gate", root / "gate", signer))
    cutter = Cutter("gate", LIMITS)
    fragments = [fragment for item in script.items for fragment in cutter.take(item, 0)] + cutter.flush()
    assert [fragment.opens_segment for fragment in fragments] == [True, False, False, True]
    lane.write(fragments[0], 1)
    assert lane.sync(1) is None
    lane.commit()
    for fragment in fragments[1:]:
        assert lane.write(fragment, 2) is None
    real, failures = os.fdatasync, [errno.EIO]

    def fail_once(fd: int) -> None:
        if failures:
            raise OSError(failures.pop(), "made to fail")
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fail_once)
    assert lane.sync(3) is not None
    commit = lane.commit()
    lane.close(4)

    assert [seal.frames for seal in seals(root)] == [10, 10]
    assert lane.lost_frames == 20
    assert len(commit.closed) == 1
    assert outcome(root, signer) is Outcome.GOOD


def test_a_disk_without_room_for_a_seal_loses_no_frame_and_the_next_start_seals(
    root: Path, signer: FootageSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script().start().frames(95)

    def refuse(_: SegmentFile, __: bytes) -> None:
        raise OSError(errno.ENOSPC, "made to fail")

    with monkeypatch.context() as patched:
        patched.setattr(SegmentFile, "append_seal", refuse)
        record(root, script.items, signer=signer)
    assert [read_seal(path) for path in segments(root)] == [None] * 4

    record(root, script.frames(30).items[96:], signer=signer)
    assert replayed(footage_of(root)) == script.raw
    assert [(seal.number, seal.flags & FOUND) for seal in seals(root)] == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 0)]
    assert outcome(root, signer) is Outcome.GOOD


def test_segments_are_recorded_as_ever_without_a_key(root: Path) -> None:
    script = Script().start().frames(95)
    record(root, script.items)
    assert [read_seal(path) for path in segments(root)] == [None] * 4
    assert not (root / "gate" / HEAD_NAME).exists()
    assert verify_camera([root / "gate"], TrustedKeys()).outcome is Outcome.UNKNOWN_SIGNER, "nothing proves it"


def test_sealed_footage_is_not_touched_by_a_start_without_the_key(root: Path, signer: FootageSigner) -> None:
    record(root, Script().start().frames(50).items, signer=signer)
    before = {path: path.read_bytes() for path in segments(root)}
    close(recover(root))
    (root / "gate" / "catalogue").unlink()
    close(recover(root))
    assert {path: path.read_bytes() for path in segments(root)} == before


def test_segments_that_vanish_before_a_start_leave_a_hole_in_the_chain(root: Path, signer: FootageSigner) -> None:
    script = Script().start().frames(95)
    record(root, script.items, signer=signer)
    for path in segments(root)[2:]:
        path.unlink()
    record(root, script.start(EPOCH + 10**12).frames(10).items[-11:], signer=signer)

    assert [seal.number for seal in seals(root)] == [1, 2, 5]
    report = verify_camera([root / "gate"], TrustedKeys([signer.public_key]))
    assert [finding.kind for finding in report.findings] == ["missing"]
    assert "segments 3 to 4" in report.findings[0].detail


def test_a_forged_number_does_not_lead_the_chain_astray(root: Path, signer: FootageSigner) -> None:
    script = Script().start().frames(95)
    record(root, script.items, signer=signer)
    forged = any_seal(FootageSigner.generate(), number=10**9, size=0)
    (root / "gate" / f"{EPOCH - 1:019d}-{0:012d}.mp4").write_bytes(forged.encode())
    (root / "gate" / HEAD_NAME).write_bytes(forged.encode())
    record(root, script.frames(30).items[96:], signer=signer)
    own = [seal for path in segments(root) if (seal := read_seal(path)) is not None and seal.number < 10**9]
    assert [seal.number for seal in own] == [1, 2, 3, 4, 5]


def test_footage_restored_from_elsewhere_is_gone_on_with_behind_its_own_chain(root: Path) -> None:
    script = Script().start().frames(95)
    before, now = FootageSigner.generate(), FootageSigner.generate()
    record(root, script.items, signer=before)
    (root / "gate" / HEAD_NAME).unlink()
    record(root, script.frames(30).items[96:], signer=now)
    assert [seal.number for seal in seals(root)] == [1, 2, 3, 4, 5, 6]
    report = verify_camera([root / "gate"], TrustedKeys([before.public_key, now.public_key]))
    assert report.outcome is Outcome.GOOD, report.findings


def test_removal_by_rule_leaves_a_legal_hole(root: Path, signer: FootageSigner) -> None:
    record(root, Script().start().frames(95).items, signer=signer)
    log = RemovedLog(root / "gate", signer)
    for path in segments(root)[:2]:
        log.append([removal(path)])
        path.unlink()
    assert outcome(root, signer) is Outcome.GOOD

    with (root / "gate" / REMOVED_NAME).open("ab") as file:
        file.write(b'{"statement": {"torn')
    assert outcome(root, signer) is Outcome.GOOD, "a crash tears the last row"
    RemovedLog(root / "gate", signer).append([removal(segments(root)[0])])
    rows = read_removed(root / "gate")
    assert [row.problem for row in rows] == ["", "", ""]
    assert [row.removal.number for row in rows if row.removal is not None] == [1, 2, 3]


def removal(path: Path) -> Removal:
    seal = read_seal(path)
    assert seal is not None
    return Removal.of(
        "gate", path.name, seal, first_seq=seal.first_seq, last_seq=seal.last_seq, frames=seal.frames, from_ns=1,
        to_ns=2, size_bytes=seal.size, removed_ns=3, reason="age",
    )  # fmt: skip


def any_seal(signer: FootageSigner, **changes: Any) -> Seal:
    made = Seal("gate", EPOCH, 5, 5, 9, 5, 2, 1000, EPOCH + 1, 3, bytes(32), bytes(range(32)))
    return sign_seal(replace(made, **changes), signer)


def test_a_seal_read_back_is_the_one_that_was_written(signer: FootageSigner) -> None:
    seal = any_seal(signer, flags=3, first_seq=-1)
    assert parse_seal(seal.encode() + b"more") == seal
    assert len(seal.encode()) == SEAL_SIZE


@given(st.binary(max_size=2 * SEAL_SIZE), st.integers(0, SEAL_SIZE * 8 - 1))
def test_what_is_no_seal_is_refused_and_nothing_else_happens(data: bytes, bit: int) -> None:
    with pytest.raises(MalformedSeal):
        parse_seal(data)
    changed = bytearray(any_seal(FootageSigner.generate()).encode())
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(MalformedSeal):
        parse_seal(bytes(changed))


def test_a_segment_that_was_stopped_in_is_gone_on_with_though_one_before_it_had_no_seal(
    tmp_path: Path, signer: FootageSigner, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that refused the seal of a closed segment: the next start seals it, and nothing is taken for changed."""
    root = tmp_path / "media"
    script = Script().start().frames(65)
    append_seal = SegmentFile.append_seal

    def refusing(file: SegmentFile, seal: bytes) -> None:
        if file.record.opened_seq == 30:
            raise OSError(errno.ENOSPC, "No space left on device")
        append_seal(file, seal)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentFile, "append_seal", refusing)
        record(root, script.items, signer=signer)
    folder = root / "gate"
    before = [read_seal(path) for path in sorted(folder.glob("*.mp4"))]
    assert [seal and (seal.number, seal.flags) for seal in before] == [(1, 0), None, (2, RESUMABLE)]
    caplog.clear()

    record(root, script.frames(30).items[66:], signer=signer)

    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []
    after = [read_seal(path) for path in sorted(folder.glob("*.mp4"))]
    assert [seal and (seal.number, seal.flags) for seal in after] == [(1, 0), (2, FOUND), (3, 0), (4, RESUMABLE)]
    assert replayed(footage_of(root)) == script.raw
    assert verify_camera([folder], TrustedKeys([signer.public_key])).outcome is Outcome.GOOD
