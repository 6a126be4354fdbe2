"""Whoever changes recorded footage, an export, a snapshot or what proves them is found out, whatever the change."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import random
import shutil
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import av
import pytest

from media_center.chain import HEAD_NAME
from media_center.cutter import Limits
from media_center.decoder import Decoder
from media_center.export import write_export
from media_center.keys import FootageSigner, TrustedKeys, is_signed
from media_center.manifest import manifest_name, parse_manifest, sign_manifest
from media_center.package import plan_package, signed_manifest
from media_center.ranges import parse_range
from media_center.removed import REMOVED_NAME, Removal, RemovedLog
from media_center.rows import FRAME, ROW_STRUCT, RowBox, encode_row_box
from media_center.scan import scan
from media_center.seal import SEAL_SIZE, Seal, sign_seal
from media_center.seal_files import content_of, read_seal
from media_center.snapshot import decode, read_coded
from media_center.snapshot_proof import prove_picture
from media_center.statement import sign_statement
from media_center.verify_files import verify_paths
from media_center.verify_report import Outcome, worst
from mesh.ids import FrameId
from tests.footage import EPOCH, SECOND, Script, clip_script, footage_of, record
from trueframe.v1 import footage_pb2

pytestmark = pytest.mark.chaos

ROUNDS = 9
"""Times that each kind of tampering is tried, each time elsewhere."""


class Trusted(TrustedKeys):
    """The keys of the true media center alone."""

    def __init__(self, signer: FootageSigner) -> None:
        super().__init__([signer.public_key])


@dataclass
class Evidence:
    """Footage of two cameras, exports and snapshots, as somebody keeps them; one copy is tampered with."""

    root: Path
    owner: FootageSigner
    thief: FootageSigner
    rng: random.Random

    @property
    def camera(self) -> Path:
        return self.root / "media" / "gate"

    @property
    def segments(self) -> list[Path]:
        return sorted(self.camera.glob("*.mp4"))

    @property
    def closed(self) -> Path:
        """Any segment that will not be gone on with."""
        return self.rng.choice(self.segments[:-1])

    @property
    def export(self) -> Path:
        return self.root / "exports" / "clip.mp4"

    @property
    def manifest(self) -> Path:
        return self.export.with_name(manifest_name(self.export.name))

    @property
    def shot(self) -> Path:
        return self.root / "shots" / "one.png"

    @property
    def proof(self) -> Path:
        return self.shot.with_name("one.proof.json")

    def outcome(self, *paths: Path) -> Outcome:
        return worst(verify_paths(paths, Trusted(self.owner)))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    root = tmp_path_factory.mktemp("evidence")
    made = Evidence(root, FootageSigner.generate(), FootageSigner.generate(), random.Random(5))
    limits = Limits(fragment_ns=SECOND // 2, segment_ns=SECOND, max_segment_ns=2 * SECOND)
    for camera in ("gate", "yard"):
        record(root / "media", clip_script(140, camera=camera).items, signer=made.owner, limits=limits)
    footage = footage_of(root / "media")
    (root / "exports").mkdir()
    for name, first, last in (("clip.mp4", 20, 70), ("other.mp4", 30, 80)):
        wanted = footage_pb2.FootageRange(
            camera="gate", first=FrameId("gate", EPOCH, first).to_proto(), last=FrameId("gate", EPOCH, last).to_proto()
        )
        files = plan_package([(footage, parse_range(wanted))], name)
        data = b"".join(write_export(footage, files[0].plan))
        (root / "exports" / name).write_bytes(data)
        signed = signed_manifest(files, [hashlib.sha256(data).digest()], "test", "a test", EPOCH, made.owner)
        (root / "exports" / manifest_name(name)).write_bytes(signed)
    (root / "shots").mkdir()
    asyncio.run(take_pictures(made))
    return made


async def take_pictures(evidence: Evidence) -> None:
    footage = footage_of(evidence.root / "media")
    async with Decoder() as decoder:
        for name, seq in (("one", 33), ("two", 34)):
            coded = read_coded(footage, FrameId("gate", EPOCH, seq))
            png = await decode(coded, decoder, 0)
            (evidence.root / "shots" / f"{name}.png").write_bytes(png)
            proof = prove_picture(footage, coded, png, 0, EPOCH, evidence.owner)
            (evidence.root / "shots" / f"{name}.proof.json").write_bytes(proof)


# What a thief can do to bytes.


def flip(path: Path, rng: random.Random, start: int = 0, end: int | None = None) -> int:
    """Flips one bit in [start, end); returns where."""
    data = bytearray(path.read_bytes())
    at = rng.randrange(start, len(data) if end is None else end)
    data[at] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return at


def rewrite_rows(path: Path, box: RowBox, change: Callable[[list[list[object]]], None]) -> None:
    """Changes the rows of a fragment and makes every checksum fit, in the file and in its index."""
    rows = [list(row) for row in ROW_STRUCT.iter_unpack(box.rows.tobytes())]
    change(rows)
    packed = b"".join(ROW_STRUCT.pack(*row) for row in rows)
    data = bytearray(path.read_bytes())
    moof_size = int.from_bytes(data[box.block_offset : box.block_offset + 4], "big")
    moof = bytes(data[box.block_offset : box.block_offset + moof_size]) if box.media_size else b""
    assert not box.media_size or zlib.crc32(moof) == box.moof_crc
    made = encode_row_box(box.camera, box.epoch, box.number, box.block_offset, box.media_size, moof, packed, box.notes)
    assert len(made) == box.box_size
    data[box.box_offset : box.end] = made
    path.write_bytes(data)
    path.with_suffix(".idx").unlink(missing_ok=True)


def frames_of(box: RowBox) -> list[int]:
    return [at for at, kind in enumerate(box.rows["kind"].tolist()) if kind == FRAME]


def any_box(path: Path, rng: random.Random) -> RowBox:
    return rng.choice([box for box in scan(path).boxes if len(frames_of(box)) > 2])


def edit_times(path: Path, rng: random.Random) -> None:
    def later(rows: list[list[object]]) -> None:
        for at in frames_of(box):
            rows[at][6] = int(str(rows[at][6])) + 3_600_000_000_000

    box = any_box(path, rng)
    rewrite_rows(path, box, later)


def forge_payload(path: Path, rng: random.Random) -> None:
    """Puts other bytes into a frame and makes its digest and the checksums fit."""
    box = any_box(path, rng)
    at = rng.choice(frames_of(box))
    offset, size = int(box.rows["offset"][at]), int(box.rows["size"][at])
    data = bytearray(path.read_bytes())
    data[offset + size - 1] ^= 1
    path.write_bytes(data)
    stored = bytes(data[offset : offset + size])
    payload, position = b"", 0
    while position < size:
        length = int.from_bytes(stored[position : position + 4], "big")
        payload += b"\0\0\0\1" + stored[position + 4 : position + 4 + length]
        position += 4 + length

    def digest(rows: list[list[object]]) -> None:
        rows[at][15] = hashlib.sha256(payload).digest()

    rewrite_rows(path, box, digest)


def swap_frames(path: Path, rng: random.Random) -> None:
    """Exchanges two frames of a fragment in the rows: what was first seems to have come second."""
    box = any_box(path, rng)
    one, two = rng.sample(frames_of(box), 2)

    def exchange(rows: list[list[object]]) -> None:
        for field in (11, 13, 15):
            rows[one][field], rows[two][field] = rows[two][field], rows[one][field]

    rewrite_rows(path, box, exchange)


def reseal(path: Path, **changes: object) -> Seal:
    """Makes the seal fit what the file now is, all but its signature."""
    seal = read_seal(path)
    assert seal is not None
    with path.open("rb") as file:
        content = content_of(file.fileno(), scan(path).boxes).digest()
    fitting = replace(seal, **({"content": content} | changes))  # type: ignore[arg-type]
    put_seal(path, fitting)
    return fitting


def put_seal(path: Path, seal: Seal) -> None:
    path.write_bytes(path.read_bytes()[:-SEAL_SIZE] + seal.encode())


# The kinds of tampering: each changes the evidence and returns what is then verified.

Kind = Callable[[Evidence], list[Path]]


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


def export_flipped(e: Evidence) -> list[Path]:
    flip(e.export, e.rng)
    return [e.export]


def export_truncated(e: Evidence) -> list[Path]:
    with e.export.open("r+b") as file:
        file.truncate(e.rng.randrange(e.export.stat().st_size))
    return [e.manifest]


def export_exchanged(e: Evidence) -> list[Path]:
    shutil.copy(e.export.with_name("other.mp4"), e.export)
    return [e.rng.choice([e.export, e.manifest, e.export.parent])]


def export_removed(e: Evidence) -> list[Path]:
    e.export.unlink()
    return [e.rng.choice([e.manifest, e.export.parent, e.export])]


def manifest_edited(e: Evidence) -> list[Path]:
    """One value of the manifest, the file itself being as it was."""
    whole = json.loads(e.manifest.read_bytes())
    file = whole["statement"]["files"][0]
    which = e.rng.randrange(7)
    frame = e.rng.choice(file["frames"])
    if which == 0:
        frame[2] += 1_000_000
    elif which == 1:
        frame[3] = hashlib.sha256(b"other").hexdigest()
    elif which == 2:
        file["frames"].remove(frame)
    elif which == 3:
        whole["statement"]["purpose"] = "nothing"
    elif which == 4:
        file["seals"].pop()
    elif which == 5:
        file["first"] = "gate/1/1"
    else:
        whole["statement"]["made_ns"] += 1
    e.manifest.write_bytes(json.dumps(whole).encode())
    return [e.rng.choice([e.export, e.manifest])]


def manifest_flipped(e: Evidence) -> list[Path]:
    flip(e.manifest, e.rng)
    return [e.rng.choice([e.export, e.manifest])]


def manifest_signed_by_another(e: Evidence) -> list[Path]:
    """The thief changes the export and makes a manifest that fits, with his own key."""
    manifest, _ = parse_manifest(e.manifest.read_bytes())
    data = e.export.read_bytes() + b"\0\0\0\x08free"
    e.export.write_bytes(data)
    file = replace(manifest.files[0], size_bytes=len(data), sha256=hashlib.sha256(data).digest())
    e.manifest.write_bytes(sign_manifest(replace(manifest, files=(file,)), e.thief))
    return [e.export]


def export_forged_with_its_manifest(e: Evidence) -> list[Path]:
    """A frame of the export, its rows and the manifest's row and hash are made to fit; only the signature is old."""
    data = e.export.read_bytes()
    whole = json.loads(e.manifest.read_bytes())
    changed = bytearray(data)
    changed[e.rng.randrange(len(data) // 3, len(data) // 2)] ^= 1
    e.export.write_bytes(changed)
    whole["statement"]["files"][0]["sha256"] = hashlib.sha256(changed).hexdigest()
    e.manifest.write_bytes(json.dumps(whole).encode())
    return [e.export]


def picture_changed(e: Evidence) -> list[Path]:
    """One pixel, and a sound PNG of it."""
    with av.open(str(e.shot)) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
    pixels[e.rng.randrange(pixels.shape[0]), e.rng.randrange(pixels.shape[1]), e.rng.randrange(3)] ^= 1
    made = io.BytesIO()
    with av.open(made, "w", format="image2pipe") as output:
        stream = output.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = pixels.shape[1], pixels.shape[0], "rgb24"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(stream.encode(None))
    e.shot.write_bytes(made.getvalue())
    return [e.shot]


def picture_flipped(e: Evidence) -> list[Path]:
    flip(e.shot, e.rng)
    return [e.shot]


def proof_exchanged(e: Evidence) -> list[Path]:
    shutil.copy(e.proof.with_name("two.proof.json"), e.proof)
    return [e.rng.choice([e.shot, e.proof])]


def picture_exchanged(e: Evidence) -> list[Path]:
    shutil.copy(e.shot.with_name("two.png"), e.shot)
    return [e.rng.choice([e.shot, e.proof])]


def proof_edited(e: Evidence) -> list[Path]:
    whole = json.loads(e.proof.read_bytes())
    field = e.rng.choice(["seq", "received_ns", "made_ns", "max_width", "epoch"])
    whole["statement"][field] += 1
    e.proof.write_bytes(json.dumps(whole).encode())
    return [e.shot]


def proof_flipped(e: Evidence) -> list[Path]:
    flip(e.proof, e.rng)
    return [e.shot]


def proof_signed_by_another(e: Evidence) -> list[Path]:
    body = json.loads(e.proof.read_bytes())["statement"]
    body["received_ns"] += 1
    e.proof.write_bytes(sign_statement(body, e.thief))
    return [e.shot]


def proof_with_anothers_seal(e: Evidence) -> list[Path]:
    whole = json.loads(e.proof.read_bytes())
    seal = read_seal(e.segments[-1])
    assert seal is not None
    whole["statement"]["seal"] = base64.b64encode(seal.encode()).decode()
    e.proof.write_bytes(json.dumps(whole).encode())
    return [e.shot]


KINDS: list[Kind] = [
    flipped_payload, flipped_moof, flipped_header, flipped_rows, flipped_seal, flipped_anywhere, truncated,
    seal_cut_off, bytes_appended, times_edited, frames_swapped, frame_forged_with_checksums, forged_with_a_fitting_seal,
    seal_edited_to_fit, resealed_with_another_key, resealed_under_the_old_key_id, whole_chain_resealed, segment_removed,
    several_newest_removed, removed_with_a_forged_record, record_of_removal_edited, segment_of_another_camera,
    segment_in_anothers_place, segment_renamed, segment_put_in, export_flipped, export_truncated, export_exchanged,
    export_removed,
    manifest_edited, manifest_flipped, manifest_signed_by_another, export_forged_with_its_manifest, picture_changed,
    picture_flipped, proof_exchanged, picture_exchanged, proof_edited, proof_flipped, proof_signed_by_another,
    proof_with_anothers_seal,
]  # fmt: skip
UNKNOWN_WILL_DO = {
    "resealed_with_another_key", "whole_chain_resealed", "removed_with_a_forged_record", "manifest_signed_by_another",
    "proof_signed_by_another", "flipped_seal", "flipped_anywhere", "manifest_flipped", "proof_flipped",
    "seal_edited_to_fit", "segment_put_in",
}  # fmt: skip
"""Where another key signed, or none, or the key's id itself was changed, "unknown signer" is the right word too."""


def test_untouched_evidence_is_good(pristine: Evidence) -> None:
    reports = verify_paths(
        [pristine.camera, pristine.root / "media" / "yard", pristine.root / "exports", pristine.root / "shots"],
        Trusted(pristine.owner),
    )
    assert [report.outcome for report in reports] == [Outcome.GOOD] * len(reports)
    assert len(pristine.segments) >= 4
    assert {report.what for report in reports} == {"camera", "manifest", "export", "snapshot"}
    for path in [*pristine.segments, pristine.export, pristine.manifest, pristine.shot, pristine.proof]:
        assert pristine.outcome(path) is Outcome.GOOD, path


def test_untouched_evidence_of_a_stranger_is_told_as_that(pristine: Evidence) -> None:
    for trusted in (TrustedKeys(), Trusted(pristine.thief)):
        for path in (pristine.camera, pristine.export, pristine.shot):
            assert worst(verify_paths([path], trusted)) is Outcome.UNKNOWN_SIGNER
    seal = read_seal(pristine.segments[0])
    assert seal is not None
    assert is_signed(pristine.owner.public_key, seal.signature, seal.signed)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_tampering_is_found(pristine: Evidence, tmp_path: Path, kind: Kind) -> None:
    found: Counter[str] = Counter()
    for number in range(ROUNDS):
        seed = f"{kind.__name__} {number}"
        copy = tmp_path / str(number)
        shutil.copytree(pristine.root, copy)
        evidence = Evidence(copy, pristine.owner, pristine.thief, random.Random(seed))
        outcome = evidence.outcome(*kind(evidence))
        found[outcome.text] += 1
        wanted = {Outcome.BROKEN, Outcome.UNKNOWN_SIGNER} if kind.__name__ in UNKNOWN_WILL_DO else {Outcome.BROKEN}
        assert outcome in wanted, f"{seed}: {outcome.text}"
        shutil.rmtree(copy)
    assert sum(found.values()) == ROUNDS


def test_there_are_at_least_two_hundred_tamperings() -> None:
    assert len(KINDS) * ROUNDS >= 200
