"""Tampering with segments, their rows, seals, chain and log of removals."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from media_center.chain import HEAD_NAME
from media_center.removed import REMOVED_NAME, Removal, RemovedLog
from media_center.scan import scan
from media_center.seal import SEAL_SIZE, sign_seal
from media_center.seal_files import read_seal
from media_center.verify_files import verify_paths
from media_center.verify_report import Outcome
from mesh.ids import FrameId
from tests.footage import EPOCH, Script, record
from tests.footage_evidence import Evidence, Trusted
from tests.footage_thief import (
    Kind,
    any_box,
    edit_times,
    flip,
    forge_payload,
    frames_of,
    put_seal,
    reseal,
    swap_frames,
)


def flipped_payload(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    box = any_box(path, e.rng)
    at = e.rng.choice(frames_of(box))
    offset = int(box.rows["offset"][at])
    flip(path, e.rng, offset, offset + int(box.rows["size"][at]))
    (report,) = verify_paths([e.camera], Trusted(e.owner))
    named = [finding.first for finding in report.findings if finding.kind == "payload"]
    assert named == [FrameId("gate", EPOCH, int(box.rows["seq"][at]))], "the frame is named, and no other"
    return [e.camera]


def flipped_moof(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    box = any_box(path, e.rng)
    size = int.from_bytes(path.read_bytes()[box.block_offset : box.block_offset + 4], "big")
    flip(path, e.rng, box.block_offset, box.block_offset + size)
    return [e.camera]


def flipped_header(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    flip(path, e.rng, 0, scan(path).boxes[0].block_offset)
    return [e.rng.choice([path, e.camera])]


def flipped_rows(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    box = any_box(path, e.rng)
    flip(path, e.rng, box.box_offset, box.end)
    return [e.rng.choice([path, e.camera])]


def flipped_seal(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    flip(path, e.rng, path.stat().st_size - SEAL_SIZE)
    return [e.camera]


def flipped_anywhere(e: Evidence) -> list[Path]:
    flip(e.rng.choice(e.segments), e.rng)
    return [e.camera]


def truncated(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    seal = read_seal(path)
    assert seal is not None
    # Exactly without its seal, the newest one would be as the next start makes it, and proved by the head.
    sizes = [size for size in range(path.stat().st_size) if size != seal.size]
    with path.open("r+b") as file:
        file.truncate(e.rng.choice(sizes))
    return [e.camera]


def seal_cut_off(e: Evidence) -> list[Path]:
    path = e.closed
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - SEAL_SIZE)
    return [e.camera]


def bytes_appended(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    with path.open("ab") as file:
        file.write(e.rng.randbytes(e.rng.choice([1, 308, 100_000])))
    return [e.camera]


def times_edited(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    edit_times(path, e.rng)
    return [e.rng.choice([path, e.camera])]


def frames_swapped(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    swap_frames(path, e.rng)
    return [e.rng.choice([path, e.camera])]


def frame_forged_with_checksums(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    forge_payload(path, e.rng)
    return [e.rng.choice([path, e.camera])]


def forged_with_a_fitting_seal(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    e.rng.choice([edit_times, forge_payload, swap_frames])(path, e.rng)
    reseal(path)
    return [e.rng.choice([path, e.camera])]


def seal_edited_to_fit(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    field = e.rng.choice(["closed_ns", "number", "frames", "last_seq", "flags", "fragments"])
    seal = read_seal(path)
    assert seal is not None
    reseal(path, **{field: getattr(seal, field) ^ 1})
    return [e.rng.choice([path, e.camera])]


def resealed_with_another_key(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    e.rng.choice([edit_times, forge_payload, swap_frames])(path, e.rng)
    put_seal(path, sign_seal(reseal(path), e.thief))
    return [e.rng.choice([path, e.camera])]


def resealed_under_the_old_key_id(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    edit_times(path, e.rng)
    made = sign_seal(reseal(path), e.thief)
    put_seal(path, replace(made, key_id=e.owner.key_id))
    return [path]


def whole_chain_resealed(e: Evidence) -> list[Path]:
    """Every segment, and the head: consistent in itself, and the thief's."""
    edit_times(e.closed, e.rng)
    previous = bytes(32)
    for path in e.segments:
        made = sign_seal(reseal(path, previous=previous), e.thief)
        put_seal(path, made)
        previous = made.hash
    (e.camera / HEAD_NAME).write_bytes(made.encode())
    return [e.camera]


def segment_removed(e: Evidence) -> list[Path]:
    e.rng.choice(e.segments).unlink()
    return [e.camera]


def several_newest_removed(e: Evidence) -> list[Path]:
    for path in e.segments[-e.rng.randint(1, len(e.segments) - 1) :]:
        path.unlink()
    return [e.camera]


def removed_with_a_forged_record(e: Evidence) -> list[Path]:
    path = e.closed
    seal = read_seal(path)
    row = Removal.of(
        "gate", path.name, seal, first_seq=0, last_seq=1, frames=2, from_ns=0, to_ns=1, size_bytes=1, removed_ns=EPOCH,
        reason="age",
    )  # fmt: skip
    RemovedLog(e.camera, e.thief).append([row])
    path.unlink()
    return [e.camera]


def record_of_removal_edited(e: Evidence) -> list[Path]:
    """One segment was removed by rule; its row is made to stand for another."""
    first, second = e.segments[:2]
    rows = [
        Removal.of(
            "gate", path.name, read_seal(path), first_seq=0, last_seq=1, frames=2, from_ns=0, to_ns=1, size_bytes=1,
            removed_ns=EPOCH, reason="age",
        )
        for path in (first, second)
    ]  # fmt: skip
    RemovedLog(e.camera, e.owner).append(rows)
    first.unlink()
    second.unlink()
    assert e.outcome(e.camera) is Outcome.GOOD, "a legal hole is none"
    log = e.camera / REMOVED_NAME
    lines = log.read_bytes().splitlines(keepends=True)
    which = e.rng.randrange(4)
    if which == 0:
        lines[1] = lines[1].replace(b'"age"', b'"law"')
    elif which == 1:
        del lines[0]
    elif which == 2:
        lines.reverse()
    else:
        del lines[1]
    log.write_bytes(b"".join(lines))
    return [e.camera]


def segment_of_another_camera(e: Evidence) -> list[Path]:
    victim = e.rng.choice(e.segments)
    shutil.copy(e.rng.choice(sorted((e.root / "media" / "yard").glob("*.mp4"))), victim)
    victim.with_suffix(".idx").unlink(missing_ok=True)
    return [e.camera]


def segment_in_anothers_place(e: Evidence) -> list[Path]:
    one, two = e.rng.sample(e.segments, 2)
    if e.rng.random() < 0.5:
        shutil.copy(one, two)
    else:
        data = one.read_bytes()
        shutil.copy(two, one)
        two.write_bytes(data)
    return [e.camera]


def segment_renamed(e: Evidence) -> list[Path]:
    path = e.rng.choice(e.segments)
    path.rename(path.with_name(f"{EPOCH + e.rng.randint(1, 9):019d}-{0:012d}.mp4"))
    return [e.camera]


def segment_put_in(e: Evidence) -> list[Path]:
    """Footage that was never recorded here, well-formed and without a seal, before or among what was."""
    record(e.root / "forged", Script("gate").start(EPOCH - e.rng.randint(1, 9)).frames(9).items)
    (made,) = (e.root / "forged" / "gate").glob("*.mp4")
    if e.rng.random() < 0.5:
        shutil.copy(made, e.camera)
    else:
        first = e.segments[0]
        shutil.copy(made, first.with_name(first.name.replace("000000.mp4", "000001.mp4")))
    return [e.camera]


SEGMENTS: list[Kind] = [
    flipped_payload,
    flipped_moof,
    flipped_header,
    flipped_rows,
    flipped_seal,
    flipped_anywhere,
    truncated,
    seal_cut_off,
    bytes_appended,
    times_edited,
    frames_swapped,
    frame_forged_with_checksums,
    forged_with_a_fitting_seal,
    seal_edited_to_fit,
    resealed_with_another_key,
    resealed_under_the_old_key_id,
    whole_chain_resealed,
    segment_removed,
    several_newest_removed,
    removed_with_a_forged_record,
    record_of_removal_edited,
    segment_of_another_camera,
    segment_in_anothers_place,
    segment_renamed,
    segment_put_in,
]
