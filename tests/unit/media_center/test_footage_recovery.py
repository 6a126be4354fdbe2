"""What a start finds after kill -9, a power cut, or rot."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from media_center.catalogue import CATALOGUE_NAME
from media_center.cutter import Resumption
from media_center.footage import RowCache
from media_center.index import index_path, load_rows
from media_center.recovery import recover
from media_center.scan import scan
from tests.footage import EPOCH, Script, close, decoded, footage_of, gaps_in, record, replayed, seqs_in
from trueframe.v1 import frames_pb2


def segments(root: Path, camera: str = "gate") -> list[Path]:
    return sorted((root / camera).glob("*.mp4"))


@pytest.fixture
def script() -> Script:
    return Script().start().frames(25, gop=1000).gap().frames(10, gop=1000)


@pytest.fixture
def root(tmp_path: Path, script: Script) -> Path:
    """One segment of four fragments."""
    root = tmp_path / "media"
    from media_center.cutter import Limits

    record(root, script.items, limits=Limits())
    assert len(segments(root)) == 1
    return root


def test_a_segment_cut_at_any_byte_keeps_every_whole_fragment(tmp_path: Path, root: Path, script: Script) -> None:
    (segment,) = segments(root)
    data = segment.read_bytes()
    boxes = scan(segment).boxes
    ends = [0, *(box.end for box in boxes)]
    entries = [0]
    for box in boxes:
        entries.append(entries[-1] + len(box.rows))
    sizes = {*(end + d for end in ends[1:] for d in (-1, 0, 1)), *random.Random(1).sample(range(len(data)), 150)}

    for size in sorted(size for size in sizes if size <= len(data)):
        other = tmp_path / "cut"
        shutil.rmtree(other, ignore_errors=True)
        (other / "gate").mkdir(parents=True)
        (other / "gate" / segment.name).write_bytes(data[:size])
        whole = max(i for i, end in enumerate(ends) if end <= size)

        close(recover(other))

        if whole == 0:
            assert segments(other) == []
            continue
        assert segments(other)[0].stat().st_size == ends[whole]
        assert replayed(footage_of(other)) == script.raw[: entries[whole]]


def test_recording_goes_on_behind_a_torn_tail(root: Path, script: Script) -> None:
    (segment,) = segments(root)
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size - 7)
    index_path(segment).unlink()

    # The broker's ring still holds what came behind the last frame on disk, and tells the epoch again.
    behind = script.raw[1 + 30 + 1 :]
    record(root, decoded([script.raw[0], *behind]))

    assert replayed(footage_of(root)) == script.raw
    assert len(segments(root)) == 1


def test_a_tail_whose_bytes_never_reached_the_disk_is_trimmed_by_its_digests(root: Path, script: Script) -> None:
    (segment,) = segments(root)
    last = scan(segment).boxes[-1]
    index_path(segment).write_bytes(index_path(segment).read_bytes()[: -last.box_size])
    with segment.open("r+b") as file:  # sizes and row box arrived, payloads did not
        file.seek(int(last.rows["offset"][-1]))
        file.write(bytes(int(last.rows["size"][-1])))

    footage = footage_of(root)

    assert segments(root)[0].stat().st_size == last.block_offset
    assert replayed(footage) == script.raw[: -len(last.rows)]


@pytest.mark.parametrize("harm", ["missing", "torn", "foreign", "empty", "flipped"])
def test_an_index_that_cannot_be_used_is_made_again(root: Path, script: Script, harm: str) -> None:
    (segment,) = segments(root)
    index = index_path(segment)
    sound = index.read_bytes()
    if harm == "missing":
        index.unlink()
    else:
        flipped = bytearray(sound)
        flipped[len(sound) // 2] ^= 1
        index.write_bytes(
            {"torn": sound[:-9], "foreign": b"something else" * 50, "empty": b"", "flipped": flipped}[harm]
        )

    assert replayed(footage_of(root)) == script.raw
    assert index.read_bytes() == sound


def test_an_index_is_mended_while_running_too(root: Path, script: Script) -> None:
    record(root, Script().start(EPOCH + 7).frames(3).items)  # the first segment is closed now
    footage = footage_of(root)
    index_path(segments(root)[0]).unlink()
    assert replayed(footage)[: len(script.raw)] == script.raw
    assert index_path(segments(root)[0]).exists()


@pytest.mark.parametrize("harm", ["missing", "torn", "foreign"])
def test_a_catalogue_that_cannot_be_used_is_made_again(tmp_path: Path, harm: str) -> None:
    script = Script().start().frames(120)
    record(tmp_path / "media", script.items)
    catalogue = tmp_path / "media" / "gate" / CATALOGUE_NAME
    sound = catalogue.read_bytes()
    assert len(segments(tmp_path / "media")) > 2
    if harm == "missing":
        catalogue.unlink()
    else:
        catalogue.write_bytes(sound[:-5] if harm == "torn" else b"x" * 500)

    assert replayed(footage_of(tmp_path / "media")) == script.raw
    assert catalogue.read_bytes() == sound


def test_a_flipped_payload_is_told_in_the_place_of_its_frame(root: Path, script: Script) -> None:
    (segment,) = segments(root)
    rows = load_rows(segment).frames
    with segment.open("r+b") as file:
        for seq in (3, 4, 11):
            file.seek(int(rows["offset"][seq]) + 20)
            file.write(b"\xaa\xbb")

    read = replayed(footage_of(root))

    assert seqs_in(read) == [seq for seq in range(35) if seq not in (3, 4, 11)]
    told = [(g.reason, g.count, g.after.seq, g.before.seq) for g in gaps_in(read) if g.HasField("after")]
    unreadable = frames_pb2.GAP_REASON_UNREADABLE
    assert told == [(unreadable, 2, 2, 5), (unreadable, 1, 10, 12)]


def test_a_destroyed_fragment_costs_that_fragment_only(root: Path, script: Script) -> None:
    (segment,) = segments(root)
    second = scan(segment).boxes[1]
    index_path(segment).unlink()
    with segment.open("r+b") as file:
        file.seek(second.block_offset)
        file.write(b"\xff" * (second.end - second.block_offset))

    read = replayed(footage_of(root))

    assert seqs_in(read) == [*range(10), *range(20, 35)]
    (gap,) = [gap for gap in gaps_in(read) if gap.HasField("count")]
    assert (gap.reason, gap.count, gap.after.seq, gap.before.seq) == (frames_pb2.GAP_REASON_UNREADABLE, 10, 9, 20)


def test_a_vanished_segment_is_told_as_unreadable(tmp_path: Path) -> None:
    script = Script().start().frames(120)
    record(tmp_path / "media", script.items)
    footage = footage_of(tmp_path / "media")
    lost = footage.view[1]
    for path in (tmp_path / "media" / "gate" / lost.name, index_path(tmp_path / "media" / "gate" / lost.name)):
        path.unlink()

    read = replayed(footage)

    (gap,) = gaps_in(read)
    assert (gap.reason, gap.count) == (frames_pb2.GAP_REASON_UNREADABLE, lost.frames)
    assert seqs_in(read) == [seq for seq in range(120) if not lost.first_seq <= seq <= lost.last_seq]


def test_random_damage_never_raises_and_never_gives_false_frames(tmp_path: Path, root: Path, script: Script) -> None:
    (segment,) = segments(root)
    data = segment.read_bytes()
    index = index_path(segment).read_bytes()
    truth = set(script.raw)
    chance = random.Random(7)
    for _ in range(60):
        other = tmp_path / "rot"
        shutil.rmtree(other, ignore_errors=True)
        (other / "gate").mkdir(parents=True)
        rotten = bytearray(data)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(rotten))
            rotten[at : at + chance.randint(1, 40)] = chance.randbytes(chance.randint(0, 40))
        (other / "gate" / segment.name).write_bytes(rotten)
        if chance.random() < 0.5:
            (other / "gate" / index_path(segment).name).write_bytes(index)
        recovered = recover(other)
        close(recovered)
        if not segments(other):
            continue
        for entry in replayed(footage_of(other)):
            assert entry in truth or gaps_in([entry])


def test_other_files_in_the_folder_are_left_alone(root: Path) -> None:
    for name in ("notes.txt", "0001-2.mp4", "GATE"):
        (root / "gate" / name).write_text("mine")
    (root / "Not A Camera").mkdir()
    (root / "lost+found").mkdir()
    assert sorted(recover_and_close(root)) == ["gate"]
    assert (root / "gate" / "notes.txt").read_text() == "mine"
    assert (root / "gate" / "0001-2.mp4").exists()


def recover_and_close(root: Path) -> list[str]:
    recovered = recover(root)
    close(recovered)
    return list(recovered)


def test_footage_of_an_older_epoch_stays_in_order(tmp_path: Path) -> None:
    script = Script().start(EPOCH).frames(5).end().start(EPOCH + 50).frames(5)
    record(tmp_path / "media", script.items)
    assert [path.name for path in segments(tmp_path / "media")] == [
        f"{EPOCH:019d}-{0:012d}.mp4",
        f"{EPOCH + 50:019d}-{0:012d}.mp4",
    ]
    assert replayed(footage_of(tmp_path / "media")) == script.raw


def test_rows_of_a_growing_segment_are_read_piece_by_piece_and_are_the_same(root: Path, script: Script) -> None:
    (segment,) = segments(root)
    boxes = scan(segment).boxes
    sound = index_path(segment).read_bytes()
    cache = RowCache()
    written = 0
    for number, box in enumerate(boxes):
        written += box.box_size
        index_path(segment).write_bytes(sound[:written])
        grown = cache.get(segment, box.end, is_open=True)
        fresh = load_rows(segment, box.end, is_open=True)
        assert grown.rows.tobytes() == fresh.rows.tobytes()
        assert (grown.notes, grown.number, grown.end) == (fresh.notes, number + 1, box.end)
    index_path(segment).unlink()
    assert len(RowCache().get(segment, boxes[1].end, is_open=True).frames) == 20
    assert not index_path(segment).exists()


def test_recording_goes_on_behind_the_last_frame_when_the_last_segment_is_gone(tmp_path: Path) -> None:
    root = tmp_path / "media"
    script = Script().start().frames(75)
    record(root, script.items)
    torn = segments(root)[-1]
    torn.write_bytes(torn.read_bytes()[:200])
    index_path(torn).unlink()
    first_lost = int(torn.stem.rpartition("-")[2])

    resumption = recover_one(root)

    assert resumption is not None
    assert resumption.last is not None
    # The broker is asked for what comes behind it, not for its oldest: that would be recorded a second time.
    assert resumption.last.seq == first_lost - 1
    record(root, script.items[first_lost - 5 :])
    assert replayed(footage_of(root)) == script.raw


def test_notes_without_a_frame_are_gone_on_behind_when_the_last_segment_is_gone(tmp_path: Path) -> None:
    root = tmp_path / "media"
    script = Script().start().end().start(EPOCH + 9).frames(5)
    record(root, script.items)
    torn = segments(root)[-1]
    torn.write_bytes(torn.read_bytes()[:200])
    index_path(torn).unlink()

    record(root, script.items)  # the broker has nothing to go on behind, and tells all that it holds

    assert replayed(footage_of(root)) == script.raw


def test_recording_goes_on_behind_a_segment_that_does_not_tell_its_epoch(root: Path, script: Script) -> None:
    (segment,) = segments(root)
    first = scan(segment).boxes[0]
    index_path(segment).unlink()
    with segment.open("r+b") as file:
        file.write(b"\xff" * first.end)

    resumption = recover_one(root)

    assert resumption is not None
    assert resumption.started is None
    assert resumption.last is not None
    assert resumption.last.seq == 34
    more = Script(seq=35, now_ns=script.now_ns, raw=[script.raw[0]]).frames(5)
    record(root, more.items)
    assert seqs_in(replayed(footage_of(root))) == [*range(10, 40)]


def recover_one(root: Path) -> Resumption | None:
    recovered = recover(root)
    close(recovered)
    return recovered["gate"].resumption
