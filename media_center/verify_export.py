"""An exported MP4 compared with its own rows and digests, and with the manifest that names it.

What does not belong here: the manifest's form (`manifest`), finding it beside the file (`verify_files`).
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from media_center.keys import TrustedKeys, is_signed
from media_center.manifest import Manifest, ManifestFile, ManifestFrame
from media_center.rows import FRAME, MAX_BOX, MalformedRows, RowBox, decode_row_box
from media_center.scan import read_payload
from media_center.statement import Statement
from media_center.verify_report import Finding, Report
from media_center.verify_segment import Pace, judge_signature, no_pace
from mesh.ids import FrameId, is_camera_id

_CHUNK = 1 << 20
_MAX_BOXES = 100_000
_MAX_FINDINGS = 1000


@dataclass(slots=True)
class _Export:
    """An exported file as it is found."""

    path: Path
    size: int = 0
    sha256: bytes = b""
    boxes: list[RowBox] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, detail: str, first: FrameId | None = None, last: FrameId | None = None) -> None:
        if len(self.findings) < _MAX_FINDINGS:
            self.findings.append(Finding(kind, detail, self.path.name, first, last))

    @property
    def frames(self) -> list[ManifestFrame]:
        """The frames that its rows name, in their order."""
        return [
            ManifestFrame(box.epoch, seq, received_ns, digest.tobytes())
            for box in self.boxes
            for rows in (box.rows[box.rows["kind"] == FRAME],)
            for seq, received_ns, digest in zip(
                rows["seq"].tolist(), rows["received_ns"].tolist(), rows["digest"], strict=True
            )
        ]


def judge_statement(report: Report, statement: Statement, trusted: TrustedKeys, made_ns: int, kind: str) -> None:
    """Whether the signature of a manifest or proof holds, and whose it is."""
    report.is_signed = True
    key = trusted.get(statement.key_id)
    if key is None:
        report.unknown_signers.add(statement.key_id.hex())
    elif not is_signed(key, statement.signature, statement.signed):
        report.findings.append(Finding(kind, "the signature does not hold", Path(report.path).name))
    else:
        report.signers.add(statement.key_id.hex())
        if trusted.is_retired(statement.key_id, made_ns):
            detail = "is signed by a key that had been replaced by then"
            report.findings.append(Finding(kind, detail, Path(report.path).name))


def verify_manifest(
    path: Path, manifest: Manifest, statement: Statement, trusted: TrustedKeys, pace: Pace = no_pace,
    only: str | None = None,
) -> list[Report]:  # fmt: skip
    """The reports of a manifest at `path` and of the files that it names, which lie beside it; of one if `only` it."""
    whole = Report(str(path), "manifest")
    judge_statement(whole, statement, trusted, manifest.made_ns, "manifest")
    if not manifest.files:
        whole.findings.append(Finding("manifest", "names no file", path.name))
    reports = [] if only is not None else [whole]
    for file in manifest.files:
        if only is None or file.name == only:
            report = verify_export(path.with_name(file.name), trusted, file, pace)
            report.is_signed = True
            report.signers |= whole.signers
            report.unknown_signers |= whole.unknown_signers
            if only is not None:
                report.findings += whole.findings
                report.notes.append(f"named by {path.name}")
            reports.append(report)
    return reports


def verify_export(path: Path, trusted: TrustedKeys, named: ManifestFile | None = None, pace: Pace = no_pace) -> Report:
    """The report of an exported file, `named` by a manifest whose signature the caller judges."""
    found = _examine(path, pace)
    report = Report(str(path), "export", found.findings)
    frames = found.frames
    report.frames = len(frames)
    if named is None:
        if not found.findings:
            report.notes.append("no manifest beside it; nothing proves it")
        return report
    if found.size != named.size_bytes or found.sha256 != named.sha256:
        found.add("container", "is not byte for byte the file that the manifest names")
    _compare(found, named, frames)
    _judge_seals(report, named, trusted)
    return report


def _examine(path: Path, pace: Pace) -> _Export:
    found = _Export(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        kind = "missing" if isinstance(error, FileNotFoundError) else "unreadable"
        found.add(kind, f"cannot be read ({error.strerror})")
        return found
    try:
        found.size = os.fstat(fd).st_size
        digest = hashlib.sha256()
        position = 0
        while chunk := os.pread(fd, _CHUNK, position):
            digest.update(chunk)
            position += len(chunk)
            pace(len(chunk))
        found.sha256 = digest.digest()
        _read_rows(found, fd)
        _check_payloads(found, fd)
    except OSError as error:
        found.add("unreadable", f"cannot be read to its end ({error.strerror})")
    finally:
        os.close(fd)
    return found


def _read_rows(found: _Export, fd: int) -> None:
    """The row boxes behind the pictures."""
    position = 0
    kinds: list[bytes] = []
    while position < found.size and len(kinds) < _MAX_BOXES:
        head = os.pread(fd, 16, position)
        size, kind = struct.unpack_from(">I4s", head) if len(head) >= 8 else (0, b"")
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack_from(">Q", head, 8)
        if size < 8 or size > found.size - position:
            found.add("container", f"bytes from {position} on are no box")
            return
        kinds.append(kind)
        if kind == b"uuid":
            if size > MAX_BOX:
                found.add("rows", f"a box of {size} bytes is larger than any of ours")
                return
            try:
                found.boxes.append(decode_row_box(os.pread(fd, size, position), position))
            except MalformedRows as error:
                found.add("rows", f"the rows at byte {position} are damaged: {error}")
        position += size
    if kinds[:3] != [b"ftyp", b"moov", b"mdat"] or not found.boxes:
        found.add("container", "is not an export of ours")


def _check_payloads(found: _Export, fd: int) -> None:
    for box in found.boxes:
        frames = box.rows[box.rows["kind"] == FRAME]
        for seq, offset, size, digest in zip(
            frames["seq"].tolist(), frames["offset"].tolist(), frames["size"].tolist(), frames["digest"], strict=True
        ):
            if read_payload(fd, offset, size, digest.tobytes()) is None:
                frame = _frame_id(box.camera, box.epoch, seq)
                found.add("payload", "the bytes of a frame are not those that were received", frame, frame)


def _compare(found: _Export, named: ManifestFile, frames: Sequence[ManifestFrame]) -> None:
    """Frame by frame with the manifest."""
    if any(box.camera != named.camera for box in found.boxes):
        found.add("rows", f"are not all of camera {named.camera!r}")
    expected = {(frame.epoch, frame.seq): frame for frame in named.frames}
    if len(expected) != len(named.frames):
        found.add("manifest", "names a frame twice")
    for frame in frames:
        other = expected.pop((frame.epoch, frame.seq), None)
        identity = _frame_id(named.camera, frame.epoch, frame.seq)
        if other is None:
            found.add("rows", "a frame that the manifest does not name", identity, identity)
        elif other.digest != frame.digest:
            found.add("payload", "a frame is not the one that the manifest names", identity, identity)
        elif other.received_ns != frame.received_ns:
            found.add("rows", "the time of a frame is not the one in the manifest", identity, identity)
    for missing in expected.values():
        identity = _frame_id(named.camera, missing.epoch, missing.seq)
        found.add("missing", "a frame that the manifest names is not in the file", identity, identity)


def _judge_seals(report: Report, named: ManifestFile, trusted: TrustedKeys) -> None:
    for seal in named.seals:
        judge_signature(report, seal, trusted, seal.segment)
        if seal.camera != named.camera:
            report.findings.append(Finding("seal", f"is of camera {seal.camera!r}", seal.segment))
    covered = sum(
        any(seal.epoch == frame.epoch and seal.first_seq <= frame.seq <= seal.last_seq for seal in named.seals)
        for frame in named.frames
    )
    if covered < len(named.frames):
        report.notes.append(f"{len(named.frames) - covered} frames came from a segment that had no seal yet")


def _frame_id(camera: str, epoch: int, seq: int) -> FrameId:
    return FrameId(camera if is_camera_id(camera) else "unknown", epoch, seq)
