"""Several ranges as files with one signed manifest: which files, their names, and what the manifest says of them.

What belongs here: dividing ranges by codec, naming, and the manifest out of plans. What does not: writing the files
(`export`), the manifest's form (`manifest`), gRPC (`service_export`). Reads files: call it in a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import PurePath

from media_center.errors import ExportTooLong, NotRecorded
from media_center.export import MAX_FRAMES, ExportPlan, plan_export
from media_center.export_parts import codec_name
from media_center.footage import CameraFootage
from media_center.manifest import Manifest, ManifestFile, ManifestFrame, ManifestGap, sign_manifest
from media_center.ranges import Bounds, select
from media_center.seal import Seal, Signer
from media_center.seal_files import read_seal
from mesh.errors import InvalidArgument
from mesh.ids import FrameId
from trueframe.v1 import frames_pb2

_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """A file of a package, planned to the byte."""

    footage: CameraFootage
    bounds: Bounds
    plan: ExportPlan
    codec: str


def plan_package(ranges: Sequence[tuple[CameraFootage, Bounds]], file_name: str = "") -> list[PackagedFile]:
    """Plans a file for each range, and one for each codec where a camera changed it. At least one is returned.

    `file_name`: of the file if it is one; with a number and the codec if there are more; empty for telling names.
    Raises NotRecorded, NotDecodable, ExportTooLong (all files together), InvalidArgument (no name of a file).
    """
    check_name(file_name)
    files: list[PackagedFile] = []
    frames = 0
    for footage, bounds in ranges:
        for codec, part in _by_codec(footage, bounds):
            plan = plan_export(footage, part)
            frames += plan.shown + plan.hidden
            if frames > MAX_FRAMES:
                raise ExportTooLong.frames(frames, MAX_FRAMES)
            files.append(PackagedFile(footage, part, plan, codec))
    return _named(files, file_name)


def check_name(file_name: str) -> None:
    """Raises InvalidArgument unless it is empty or a plain file name."""
    is_plain = PurePath(file_name).name == file_name and file_name not in (".", "..") and file_name.isprintable()
    if file_name and (not is_plain or "\\" in file_name or len(file_name) > _MAX_NAME):
        raise InvalidArgument("file_name", "is not the plain name of a file", "Leave out folders.")


def signed_manifest(
    files: Sequence[PackagedFile], digests: Sequence[bytes], made_for: str, purpose: str, made_ns: int, signer: Signer
) -> bytes:
    """The manifest of written files, as a JSON file. `digests`: SHA-256 of each. `made_ns`: UTC nanoseconds."""
    described = tuple(_described(file, digest) for file, digest in zip(files, digests, strict=True))
    return sign_manifest(Manifest(made_ns, made_for, purpose, described), signer)


def _by_codec(footage: CameraFootage, bounds: Bounds) -> list[tuple[str, Bounds]]:
    selection = select(footage, bounds)
    if selection.first is None or selection.last is None:
        raise NotRecorded.range(footage.camera)
    segments = [footage.view[at] for at in range(selection.first.segment, selection.last.segment + 1)]
    groups = [
        (codec, list(group))
        for codec, group in groupby((one for one in segments if one.frames), key=lambda one: codec_name(one.codec))
    ]
    parts: list[tuple[str, Bounds]] = []
    for number, (codec, group) in enumerate(groups):
        part = bounds
        if number > 0:
            part = replace(part, first=FrameId(footage.camera, group[0].epoch, group[0].first_seq), from_ns=None)
        if number < len(groups) - 1:
            part = replace(part, last=FrameId(footage.camera, group[-1].epoch, group[-1].last_seq), to_ns=None)
        parts.append((codec, part))
    return parts


def _named(files: Sequence[PackagedFile], file_name: str) -> list[PackagedFile]:
    """The files under names that differ."""
    taken: set[str] = set()
    named: list[PackagedFile] = []
    for number, file in enumerate(files, 1):
        name = file.plan.file_name
        if file_name:
            path = PurePath(file_name)
            name = file_name if len(files) == 1 else f"{path.stem}-{number}-{file.codec}{path.suffix}"
        stem, suffix = PurePath(name).stem, PurePath(name).suffix
        again = 1
        while name in taken:
            again += 1
            name = f"{stem}-{again}{suffix}"
        taken.add(name)
        named.append(replace(file, plan=replace(file.plan, file_name=name)))
    return named


def _described(file: PackagedFile, digest: bytes) -> ManifestFile:
    plan = file.plan
    frames = tuple(
        ManifestFrame(run.epoch, seq, received_ns, frame_digest.tobytes())
        for run in plan.pieces
        for seq, received_ns, frame_digest in zip(
            run.rows["seq"].tolist(), run.rows["received_ns"].tolist(), run.rows["digest"], strict=True
        )
    )
    return ManifestFile(
        plan.file_name, plan.size_bytes, digest, plan.camera, file.codec, str(plan.first), str(plan.last), plan.shown,
        plan.hidden, frames, tuple(_gap(gap) for gap in plan.gaps), _seals(file),
    )  # fmt: skip


def _gap(gap: frames_pb2.Gap) -> ManifestGap:
    known = gap.reason in frames_pb2.GapReason.values()
    reason = frames_pb2.GapReason.Name(gap.reason).removeprefix("GAP_REASON_").lower() if known else str(gap.reason)
    after = str(FrameId.from_proto(gap.after)) if gap.HasField("after") else ""
    return ManifestGap(reason, gap.count, gap.noticed_ns, after)


def _seals(file: PackagedFile) -> tuple[Seal, ...]:
    """Seals of the segments that the frames came from; one that is still being written has none."""
    seals: list[Seal] = []
    for segment in dict.fromkeys(run.segment for run in file.plan.pieces):
        try:
            seal = read_seal(file.footage.view.path(segment))
        except OSError:
            continue
        if seal is not None:
            seals.append(seal)
    return tuple(seals)
