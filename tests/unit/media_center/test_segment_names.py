"""A segment whose name is taken: nothing of what comes is lost on a disk that is sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_center.cutter import Cutter, Limits
from media_center.keys import FootageSigner, TrustedKeys
from media_center.verify_camera import verify_camera
from media_center.verify_report import Outcome
from media_center.writer import FootageWriter
from mesh.clocks import SystemClock
from tests.footage import EPOCH, SECOND, Script, footage_of, record, replayed


@pytest.fixture
def signer() -> FootageSigner:
    return FootageSigner.generate()


def closed_with_notes_alone(root: Path, script: Script, signer: FootageSigner) -> None:
    """Records a script of notes alone and closes its segment for good, as retention does with an old one."""
    root.mkdir()
    writer = FootageWriter(root, {}, lambda _: None, SystemClock(), sync_s=0.01, signer=signer)
    writer.start()
    cutter = Cutter("gate", Limits())
    for item in script.items:
        for fragment in cutter.take(item, 0):
            writer.submit(fragment)
    for fragment in cutter.flush():
        writer.submit(fragment)
    writer.between_rounds(lambda _: None).result(10)  # what was submitted before is written behind it
    assert writer.between_rounds(lambda _: None).result(10) is None
    writer.finish("gate").result(10)
    assert writer.stop()


def test_the_first_frame_of_an_epoch_of_which_only_notes_are_closed_on_disk_is_recorded(
    tmp_path: Path, signer: FootageSigner
) -> None:
    root = tmp_path / "media"
    script = Script().start().gap()
    closed_with_notes_alone(root, script, signer)
    (first,) = sorted((root / "gate").glob("*.mp4"))

    writer = record(root, [script.items[0], *script.frames(50).items[2:]], signer=signer)

    assert writer.lost_frames == 0
    assert replayed(footage_of(root)) == script.raw
    names = sorted((root / "gate").glob("*.mp4"))
    assert names[0] == first
    assert len(names) == 3
    assert verify_camera([root / "gate"], TrustedKeys([signer.public_key])).outcome is Outcome.GOOD


def test_a_frame_is_found_in_a_segment_whose_name_says_a_later_one(tmp_path: Path, signer: FootageSigner) -> None:
    root = tmp_path / "media"
    script = Script().start().gap()
    closed_with_notes_alone(root, script, signer)
    record(root, [script.items[0], *script.frames(50).items[2:]], signer=signer)

    view = footage_of(root).view
    for seq in range(50):
        found = view[view.position_of(EPOCH, seq)]
        assert found.first_seq <= seq <= found.last_seq
    for position, segment in enumerate(view[at] for at in range(len(view))):
        assert view.position_named(segment.epoch, segment.opened_seq) == position


def test_a_file_in_the_way_costs_no_frame(tmp_path: Path) -> None:
    root = tmp_path / "media"
    root.mkdir()
    script = Script().start().frames(65)
    in_the_way = root / "gate" / f"{EPOCH:019d}-{30:012d}.mp4"
    in_the_way.parent.mkdir()
    in_the_way.write_bytes(b"?")

    writer = FootageWriter(root, {}, lambda _: None, SystemClock(), sync_s=0.01)
    writer.start()
    cutter = Cutter("gate", Limits(segment_ns=3 * SECOND))
    for fragment in [one for item in script.items for one in cutter.take(item, 0)] + cutter.flush():
        writer.submit(fragment)
    assert writer.stop()

    assert writer.lost_frames == 0
    assert in_the_way.read_bytes() == b"?"
    assert replayed(footage_of(root)) == script.raw
