"""Footage, exports and snapshots with all that proves them, to be tampered with. For tests of verifying."""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

from media_center.cutter import Limits
from media_center.decoder import Decoder
from media_center.export import write_export
from media_center.keys import FootageSigner, TrustedKeys
from media_center.manifest import manifest_name
from media_center.package import plan_package, signed_manifest
from media_center.ranges import parse_range
from media_center.snapshot import decode, read_coded
from media_center.snapshot_proof import prove_picture
from media_center.verify_files import verify_paths
from media_center.verify_report import Outcome, worst
from mesh.ids import FrameId
from tests.footage import EPOCH, SECOND, clip_script, footage_of, record
from trueframe.v1 import footage_pb2


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


def make_evidence(root: Path) -> Evidence:
    """Two cameras, two exports and two snapshots with their proof, all by one key."""
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
