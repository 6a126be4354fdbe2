"""One segment file compared with itself and with its seal, byte for byte. Works without a running instance.

What belongs here: which bytes and frames are not as they were sealed. What does not: the chain that the seal belongs to
(`verify_camera`), and repairing (`recovery` mends what crashes leave, nothing mends tampering).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from media_center.away import elsewhere, open_segment, stub_of
from media_center.catalogue import parse_name
from media_center.index import index_path, split_boxes
from media_center.keys import TrustedKeys, is_signed
from media_center.rows import FRAME, RowBox
from media_center.scan import read_payload, scan
from media_center.seal import FOUND, RESUMABLE, SIGNATURE, MalformedSeal, Seal, parse_seal
from media_center.seal_files import content_of, seal_at_end
from media_center.verify_report import Finding, Report
from mesh.ids import FrameId, is_camera_id

_TAIL = 65_536
_MAX_FINDINGS = 1000
Pace = Callable[[int], None]
"""Called with the bytes read since the last call; may wait, or raise to end the work."""


@dataclass(slots=True)
class Examined:
    """What a segment is found to be."""

    path: Path
    seal: Seal | None = None
    boxes: list[RowBox] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    size: int = 0
    is_gone: bool = False
    """There is no such file."""
    elsewhere: str = ""
    """Where the file lies, if it was moved to a place that cannot be reached from here: then it was not looked at."""

    @property
    def frames(self) -> int:
        """Frames whose rows can be read."""
        return sum(int((box.rows["kind"] == FRAME).sum()) for box in self.boxes)

    def add(self, kind: str, detail: str, first: FrameId | None = None, last: FrameId | None = None) -> None:
        """Adds a finding."""
        if len(self.findings) < _MAX_FINDINGS:
            self.findings.append(Finding(kind, detail, self.path.name, first, last))


def no_pace(_: int) -> None:
    """As fast as the disk gives."""


def examine(path: Path, pace: Pace = no_pace) -> Examined:
    """Compares a segment with its rows, digests and seal; does not judge the seal's signature. Raises nothing.

    Reads the file once for its payloads, and its rows once more.
    """
    found = Examined(path)
    try:
        fd = open_segment(path)
    except OSError as error:
        found.elsewhere = elsewhere(path, error)
        if found.elsewhere:
            found.seal = _kept_seal(path)
            return found
        is_moved = path.is_symlink()
        found.is_gone = isinstance(error, FileNotFoundError) and not is_moved
        where = f" in {path.readlink().parent}, where it was moved to" if is_moved else ""
        is_missing = isinstance(error, FileNotFoundError)
        found.add("missing" if is_missing else "unreadable", f"cannot be read{where} ({error.strerror})")
        return found
    try:
        found.size = os.fstat(fd).st_size
        _examine(found, fd, pace)
    except OSError as error:
        found.add("unreadable", f"cannot be read to its end ({error.strerror or error})")
    finally:
        os.close(fd)
    return found


def _kept_seal(path: Path) -> Seal | None:
    """The seal that was kept here of a segment that was moved; None if there is none."""
    stub = stub_of(path)
    try:
        return parse_seal(stub.seal) if stub is not None and stub.seal else None
    except MalformedSeal:
        return None


def _examine(found: Examined, fd: int, pace: Pace) -> None:
    scanned = scan(found.path)
    found.boxes = scanned.boxes
    found.seal = seal = seal_at_end(fd)
    _check_payloads(found, fd, pace)
    if seal is None:
        _look_for_seal(found, fd, scanned.good_size)
        if scanned.damaged or not scanned.boxes:
            _tell_damage(found, scanned.damaged, scanned.good_size)
        elif scanned.good_size < found.size:
            found.notes.append(f"{found.size - scanned.good_size} bytes behind the last whole fragment")
        return
    if seal.segment != found.path.name:
        if parse_name(found.path.name) is not None:
            found.add("seal", f"is the seal of {seal.segment}")
        else:
            found.notes.append(f"is a copy of {seal.segment} of camera {seal.camera!r}")
    if any(box.camera != seal.camera or box.epoch != seal.epoch for box in scanned.boxes):
        found.add("seal", f"is the seal of camera {seal.camera!r}, and the rows are another's")
    content = content_of(fd, scanned.boxes)
    counts = (content.frames, content.fragments, content.first_seq, content.last_seq, content.size)
    sealed = (seal.frames, seal.fragments, seal.first_seq, seal.last_seq, seal.size)
    if content.digest() == seal.content and counts == sealed:
        if scanned.damaged:
            found.notes.append(f"{found.path.name}: was damaged inside already when it was sealed")
        if seal.flags & FOUND:
            found.notes.append(f"{found.path.name}: sealed at a start; a crash had left it open")
        return
    told = len(found.findings)
    _tell_damage(found, scanned.damaged, scanned.good_size)
    if len(found.findings) == told:
        _tell_change(found)


def _check_payloads(found: Examined, fd: int, pace: Pace) -> None:
    for box in found.boxes:
        frames = box.rows[box.rows["kind"] == FRAME]
        for seq, offset, size, digest in zip(
            frames["seq"].tolist(), frames["offset"].tolist(), frames["size"].tolist(), frames["digest"], strict=True
        ):
            if read_payload(fd, offset, size, digest.tobytes()) is None:
                frame = FrameId(_id(box.camera), box.epoch, seq)
                found.add("payload", "the bytes of a frame are not those that were received", frame, frame)
            pace(size)
        pace(box.box_size)


def _look_for_seal(found: Examined, fd: int, good_size: int) -> None:
    if any(SIGNATURE in os.pread(fd, _TAIL, at) for at in (good_size, max(0, found.size - _TAIL))):
        found.add("seal", "has been changed, or stands where it does not belong")


def _tell_damage(found: Examined, damaged: list[tuple[int, int]], good_size: int) -> None:
    """Names what lies between whole fragments, and which frames are missing there."""
    seal, boxes = found.seal, found.boxes
    for start, end in damaged:
        before = [box for box in boxes if box.end <= start]
        after = [box for box in boxes if box.block_offset >= end]
        first, last = _missing(found, before, after)
        kind = "rows" if first is not None else "container"
        found.add(kind, f"bytes {start} to {end} belong to no whole fragment", first, last)
    end = seal.size if seal is not None else found.size
    if good_size < end:
        first, last = _missing(found, boxes, [])
        found.add("rows", f"bytes {good_size} to {end} are no whole fragment", first, last)


def _missing(found: Examined, before: list[RowBox], after: list[RowBox]) -> tuple[FrameId | None, FrameId | None]:
    """The frames that are missing between whole fragments, as far as ids and the seal tell."""
    seal = found.seal
    known = [*before[:1], *after[:1]]
    camera, epoch = (seal.camera, seal.epoch) if seal else (known[0].camera, known[0].epoch) if known else ("", 0)
    low = _last_seq(before)
    high = _first_seq(after)
    first = low + 1 if low is not None else seal.first_seq if seal is not None else None
    last = high - 1 if high is not None else seal.last_seq if seal is not None else None
    if first is None or last is None or first < 0 or last < first or not is_camera_id(camera):
        return None, None
    return FrameId(camera, epoch, first), FrameId(camera, epoch, last)


def _last_seq(boxes: list[RowBox]) -> int | None:
    for box in reversed(boxes):
        frames = box.rows[box.rows["kind"] == FRAME]
        if len(frames):
            return int(frames["seq"][-1])
    return None


def _first_seq(boxes: list[RowBox]) -> int | None:
    for box in boxes:
        frames = box.rows[box.rows["kind"] == FRAME]
        if len(frames):
            return int(frames["seq"][0])
    return None


def _tell_change(found: Examined) -> None:
    """A change that leaves every checksum in order: somebody made them fit. The index, if it is there, tells where."""
    changed: list[RowBox] = []
    try:
        indexed, _ = split_boxes(index_path(found.path).read_bytes())
    except OSError:
        indexed = []
    by_number = {box.number: box for box in indexed}
    for box in found.boxes:
        other = by_number.get(box.number)
        if other is not None and (other.rows.tobytes(), other.notes, other.moof_crc, other.block_offset) != (
            box.rows.tobytes(), box.notes, box.moof_crc, box.block_offset,
        ):  # fmt: skip
            changed.append(box)
    for box in changed:
        frames = box.rows[box.rows["kind"] == FRAME]
        ids = [FrameId(_id(box.camera), box.epoch, int(seq)) for seq in frames["seq"][[0, -1]]] if len(frames) else []
        what = f"rows of fragment {box.number} were changed, and their checksum made to fit"
        found.add("rows", what, *ids)
    if not changed:
        found.add("container", "a byte that is no picture was changed: header, rows with their checksums, or the seal")


def _id(camera: str) -> str:
    return camera if is_camera_id(camera) else "unknown"


def judge_signature(report: Report, seal: Seal, trusted: TrustedKeys, segment: str) -> None:
    """Whether the signature of a seal holds, and whose it is."""
    report.is_signed = True
    key = trusted.get(seal.key_id)
    if key is None:
        report.unknown_signers.add(seal.key_id.hex())
    elif not is_signed(key, seal.signature, seal.signed):
        report.findings.append(Finding("seal", "the signature of the seal does not hold", segment))
    else:
        report.signers.add(seal.key_id.hex())
        if trusted.is_retired(seal.key_id, seal.closed_ns):
            detail = "is signed by a key that had been replaced by then"
            report.findings.append(Finding("seal", detail, segment))


def verify_segment(path: Path, trusted: TrustedKeys, pace: Pace = no_pace) -> Report:
    """The report of one segment file."""
    found = examine(path, pace)
    report = Report(str(path), "segment", found.findings, found.notes, segments=1, frames=found.frames)
    if found.elsewhere:
        report.segments = 0
        report.is_elsewhere(found.elsewhere)
        report.notes.append(f"{path.name}: lies in {found.elsewhere}, which cannot be reached from here: not looked at")
        return report
    if found.seal is None:
        if not found.findings:
            report.notes.append(f"{path.name}: has no seal; nothing proves it (the segment being written has none yet)")
        return report
    judge_signature(report, found.seal, trusted, path.name)
    if found.seal.flags & RESUMABLE:
        report.notes.append(f"{path.name}: sealed at an orderly stop; recording goes on in it")
    return report
