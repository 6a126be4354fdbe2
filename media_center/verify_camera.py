"""One camera's folder of segments: each of them, and the chain that binds them, with its legal holes.

What belongs here: which segments are missing, foreign, or stand in another's place. What does not: what is wrong inside
a segment (`verify_segment`), reading any other file (`verify_files`).
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from media_center.catalogue import parse_name
from media_center.chain import HEAD_NAME, read_head
from media_center.keys import TrustedKeys, is_signed
from media_center.removed import Removal, read_removed
from media_center.seal import NO_SEAL, RESUMABLE, Seal
from media_center.seal_files import content_of, read_seal
from media_center.verify_report import Finding, Report
from media_center.verify_segment import Examined, Pace, examine, judge_signature, no_pace
from mesh.ids import FrameId, is_camera_id

Told = Callable[[Path], None]
"""Called with each segment when it has been looked at."""


@dataclass(frozen=True, slots=True)
class _Link:
    """A segment with its seal, as the chain has it."""

    path: Path
    seal: Seal


def segment_paths(folders: Sequence[Path]) -> list[Path]:
    """The segments of one camera, which may lie in several folders (tiers), in recorded order. Raises OSError."""
    found = [
        (entry.name, Path(entry.path), entry.is_symlink())
        for folder in folders
        for entry in os.scandir(folder)
        if parse_name(entry.name) is not None
    ]
    # Where the folder that a segment was moved to is given, too, the link to it tells nothing more.
    files = {name for name, _, is_link in found if not is_link}
    left = [path for name, path, is_link in found if not (is_link and name in files)]
    return sorted(left, key=lambda path: (path.name, str(path)))


def verify_camera(
    folders: Sequence[Path], trusted: TrustedKeys, pace: Pace = no_pace, told: Told | None = None,
    is_open: Callable[[str], bool] = lambda _: False,
) -> Report:  # fmt: skip
    """The report of one camera. `is_open`: the name of a segment that is being written just now, and is left out."""
    check = CameraCheck(folders, trusted, is_open)
    for path in check.paths:
        check.take(examine(path, pace))
        if told is not None:
            told(path)
    return check.finish()


class CameraCheck:
    """Looks at one camera's segments one after the other, and then at the chain. Keeps seals, not segments."""

    def __init__(
        self, folders: Sequence[Path], trusted: TrustedKeys, is_open: Callable[[str], bool] = lambda _: False
    ) -> None:
        self.report = Report(str(folders[0]), "camera")
        self.paths: list[Path] = []
        self._folders = list(folders)
        self._trusted = trusted
        self._links: list[_Link] = []
        self._unsealed: list[Examined] = []
        self._elsewhere: list[str] = []
        self._is_open = is_open
        # Before the segments: what is sealed meanwhile is not missed.
        self._heads = [head for head in map(read_head, self._folders) if head is not None]
        try:
            self.paths = [path for path in segment_paths(folders) if not is_open(path.name)]
        except OSError as error:
            self._find("unreadable", f"the folder cannot be read ({error.strerror})")

    def _find(
        self, kind: str, detail: str, segment: str = "", first: FrameId | None = None, last: FrameId | None = None
    ) -> None:
        self.report.findings.append(Finding(kind, detail, segment, first, last))

    def take(self, found: Examined) -> Report:
        """Takes the next segment; returns what is to be said of it alone."""
        part = Report(str(found.path), "segment", found.findings, found.notes, segments=1, frames=found.frames)
        if found.is_gone:
            # Retention may have deleted it since the folder was listed: the log of removals or the chain tells.
            return Report(part.path, part.what)
        if found.elsewhere:
            part.segments = 0
            part.is_elsewhere(found.elsewhere)
            if found.seal is None:
                self._elsewhere.append(found.path.name)
                self.report.take(part)
                return part
        if found.seal is None:
            self._unsealed.append(found)  # counts in the end: a seal may come meanwhile
            return part
        judge_signature(part, found.seal, self._trusted, found.path.name)
        self._links.append(_Link(found.path, found.seal))
        self.report.take(part)
        return part

    def pass_by(self, path: Path) -> None:
        """Takes the seal of a segment that was looked at before."""
        with contextlib.suppress(OSError):
            seal = read_seal(path)
            if seal is not None:
                self._links.append(_Link(path, seal))

    def finish(self) -> Report:
        """Looks at the chain; returns the whole report."""
        report = self.report
        self._look_again()
        camera = Counter(link.seal.camera for link in self._links).most_common(1)
        if camera and self._folders[0].name != camera[0][0]:
            report.notes.append(f"the folder is named {self._folders[0].name!r}, the footage is of {camera[0][0]!r}")
        for link in self._links:
            if link.seal.camera != camera[0][0]:
                self._find("chain", f"is a segment of another camera, {link.seal.camera!r}", link.path.name)
        links = [link for link in self._links if link.seal.camera == camera[0][0]] if camera else []
        removed = list(self._removed(camera[0][0] if camera else ""))
        if removed:
            report.notes.append(f"{len({one.segment for one in removed})} segments were removed on purpose")
        self._check_links(links, removed)
        self._check_head(links, removed)
        self._check_unsealed(links)
        for place, count in report.elsewhere.items():
            what = "segment lies" if count == 1 else "segments lie"
            report.notes.append(f"{count} {what} in {place}, which cannot be reached from here: not looked at")
        return report

    def _look_again(self) -> None:
        """A running recorder seals segments, and goes on writing the newest, while they are looked at."""
        unsealed, self._unsealed = self._unsealed, []
        newest = max((found.path.name for found in unsealed), default="")
        for one in unsealed:
            is_sealed_now = False
            with contextlib.suppress(OSError):
                is_sealed_now = read_seal(one.path) is not None
            is_moving = is_sealed_now or (bool(one.findings) and one.path.name == newest)
            found = examine(one.path) if is_moving else one
            part = self.take(found)
            if found.seal is None and not found.is_gone:
                self.report.take(part)

    def _removed(self, camera: str) -> Iterator[Removal]:
        """What was deleted on purpose, as far as the log can be believed."""
        for folder in self._folders:
            try:
                rows = read_removed(folder)
            except OSError as error:
                self._find("removed", f"the log of removals cannot be read ({error.strerror})")
                continue
            for row in rows:
                if row.problem or row.statement is None or row.removal is None:
                    self._find("removed", f"row {row.line} of the log of removals: {row.problem}")
                    continue
                key = self._trusted.get(row.statement.key_id)
                if key is None:
                    self.report.unknown_signers.add(row.statement.key_id.hex())
                elif not is_signed(key, row.statement.signature, row.statement.signed):
                    self._find("removed", f"the signature of row {row.line} of the log of removals does not hold")
                    continue
                if camera and row.removal.camera != camera:
                    self._find("removed", f"row {row.line} of the log of removals is of {row.removal.camera!r}")
                    continue
                yield row.removal

    def _check_links(self, links: Sequence[_Link], removed: Sequence[Removal]) -> None:
        by_number: dict[int, _Link] = {}
        for link in links:
            other = by_number.setdefault(link.seal.number, link)
            if other is not link and other.path.name != link.path.name:
                what = f"has number {link.seal.number} in the chain, which {other.path.name} has too"
                self._find("chain", what, link.path.name)
        gone = {removal.number: removal for removal in removed if removal.number}
        before = 0
        for number in sorted({*by_number, *gone}):
            here = by_number.get(number)
            if number > before + 1:
                self._tell_missing(before, number, by_number)
            elif here is not None and here.seal.previous != self._hash_of(before, by_number, gone):
                what = f"does not follow number {before} of the chain: one of the two was exchanged"
                self._find("chain", what, here.path.name)
            before = number

    @staticmethod
    def _hash_of(number: int, by_number: dict[int, _Link], gone: dict[int, Removal]) -> bytes:
        if number == 0:
            return NO_SEAL
        return by_number[number].seal.hash if number in by_number else gone[number].seal

    def _tell_missing(self, before: int, number: int, by_number: dict[int, _Link]) -> None:
        """The segments between two numbers are missing, and nobody says that they were removed or moved."""
        seals = f"segment {before + 1}" if number == before + 2 else f"segments {before + 1} to {number - 1}"
        first, last = None, None
        old, new = by_number.get(before), by_number.get(number)
        if old is not None and new is not None and old.seal.epoch == new.seal.epoch:
            lost = range(old.seal.last_seq + 1, new.seal.first_seq)
            if lost:
                first, last = (FrameId(new.seal.camera, new.seal.epoch, seq) for seq in (lost[0], lost[-1]))
        low, high = old.path.name if old is not None else "", new.path.name if new is not None else "~"
        if sum(low < name < high for name in self._elsewhere) >= number - before - 1:
            return
        behind = f" behind {old.path.name}" if old is not None else f" before {new.path.name}" if new else ""
        self._find("missing", f"{seals} of the chain{behind}, and not in the log of removals", "", first, last)

    def _check_head(self, links: Sequence[_Link], removed: Sequence[Removal]) -> None:
        """The head says how far the chain goes: newer segments that are missing, and a seal that was cut off."""
        if not self._heads:
            if links:
                self.report.notes.append(f"no {HEAD_NAME}: whether newer segments existed cannot be told")
            return
        head = max(self._heads, key=lambda one: one.number)
        if self._is_open(head.segment):
            return  # recording goes on in it
        judge_signature(self.report, head, self._trusted, HEAD_NAME)
        if links and head.camera != links[0].seal.camera:
            self._find("chain", f"the head of the chain is of camera {head.camera!r}", HEAD_NAME)
            return
        same = next((link for link in links if link.seal.number == head.number), None)
        if same is not None:
            if same.seal.hash != head.hash and not _is_grown_from(same.seal, head):
                self._find("chain", "is not the segment that the head of the chain names", same.path.name)
            return
        if links and max(link.seal.number for link in links) > head.number:
            return  # the head is written last, and a crash may lose it
        if head.segment in self._elsewhere or any(removal.seal == head.hash for removal in removed):
            return
        first, last = _frames_of(head)
        opened = next((one for one in self._unsealed if one.path.name == head.segment), None)
        if opened is None:
            what = f"{head.segment}, the newest of the chain, is not there, nor in the log of removals"
            self._find("missing", what, head.segment, first, last)
        elif not head.flags & RESUMABLE:
            self._find("seal", "had a seal, which is gone", head.segment, first, last)
        elif opened.boxes and opened.boxes[-1].end == head.size < opened.size:
            self._find("seal", "had a seal, which is damaged", head.segment, first, last)
        elif not _begins_as_sealed(opened, head):
            self._find("container", "is not what was sealed at the last orderly stop", head.segment, first, last)

    def _check_unsealed(self, links: Sequence[_Link]) -> None:
        """Only the newest segment may be without a seal: it is being written. Others prove nothing."""
        sealed = sorted(link.path.name for link in links)
        newest = max((found.path.name for found in self._unsealed), default="")
        for found in self._unsealed:
            name = found.path.name
            if sealed and sealed[0] < name < sealed[-1]:
                self._find("seal", "has no seal although older and newer ones have", name)
            elif name == newest and (not sealed or name > sealed[-1]):
                self.report.notes.append(f"{name}: has no seal yet; nothing proves it")
            else:
                self.report.has_unproved = True
                self.report.notes.append(f"{name}: has no seal and is not the newest; nothing proves it")


def _frames_of(seal: Seal) -> tuple[FrameId | None, FrameId | None]:
    if seal.first_seq < 0 or seal.last_seq < seal.first_seq or not is_camera_id(seal.camera):
        return None, None
    return FrameId(seal.camera, seal.epoch, seal.first_seq), FrameId(seal.camera, seal.epoch, seal.last_seq)


def _begins_as_sealed(found: Examined, head: Seal) -> bool:
    """Whether an open segment begins with what a seal says that was taken off to go on."""
    boxes = [box for box in found.boxes if box.end <= head.size]
    try:
        fd = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = content_of(fd, boxes)
        finally:
            os.close(fd)
    except OSError:
        return False
    return content.size == head.size and content.digest() == head.content


def _is_grown_from(seal: Seal, head: Seal) -> bool:
    """Whether a segment that was sealed at an orderly stop was gone on with, and sealed again a moment ago.

    The head follows the seal; until it does, and for good if a crash came between, it names the seal of the stop.
    """
    return (
        bool(head.flags & RESUMABLE)
        and seal.segment == head.segment
        and seal.previous == head.previous
        and seal.size > head.size
        and seal.frames >= head.frames
    )
