"""One camera's way to the disk, as the writer thread walks it: fragments in, segments written, losses kept in mind.

What belongs here: opening and closing segments, and what happens to fragments when the disk refuses. What does not:
the thread, the queue and the rounds of syncing (`writer`).
"""

from __future__ import annotations

import contextlib
import errno
import struct
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from media_center.catalogue import Segment, append_catalogue
from media_center.chain import Chain
from media_center.cutter import Fragment
from media_center.folder_notes import KEPT
from media_center.fragment import Encoded, FragmentEncoder, reorders
from media_center.losses import Losses
from media_center.seal import RESUMABLE, ContentHash, Seal
from media_center.segment import SegmentFile
from mesh.files import durable_folder
from mesh.ids import FrameId
from mesh.logs import get_logger
from trueframe.v1 import frames_pb2

log = get_logger("media_center.lane")

# Names of segments in a row that may be taken before a new one is given up.
_NAMES_TRIED = 16


@dataclass(frozen=True, slots=True)
class Commit:
    """Footage of a camera that is now confirmed on disk."""

    camera: str
    closed: list[Segment]
    """Segments that will not change any more, in order."""
    open: Segment | None
    watermark: FrameId | None
    """The last frame confirmed; None if there is none yet."""


@dataclass(slots=True)
class _Open:
    file: SegmentFile
    encoder: FragmentEncoder
    committed_number: int
    unsynced: list[Fragment]
    """Written and not yet synced: told as lost if the sync fails."""
    content: ContentHash
    """Of everything written."""
    committed_content: ContentHash
    """Of what is synced."""
    flags: int = 0
    """Of its seal."""
    is_sealed: bool = False


class Lane:
    """Writes one camera's fragments. Not thread-safe: the writer thread owns it. Raises nothing for a bad disk."""

    def __init__(self, camera: str, folder: Path, watermark: FrameId | None, chain: Chain | None = None) -> None:
        """`chain`: makes the seals of closed segments; without it they have none."""
        self.camera = camera
        self.folder = folder
        self.watermark = watermark
        self.lost_frames = 0
        self._chain = chain
        self._current: _Open | None = None
        self._finished: list[_Open] = []
        self._losses = Losses()
        self._reorders = False
        self.closed_names: deque[str] = deque(maxlen=KEPT)
        """The newest closed segments, in recorded order."""
        self.is_catalogued = True
        """Every closed segment has its record in the catalogue."""
        self.has_new_names = False
        """Since somebody set this to False."""

    def resume(self, file: SegmentFile, encoder: FragmentEncoder, content: ContentHash, *, flags: int) -> None:
        """Goes on with a segment that is open on disk. `flags`: those that its seal needs for what lies there."""
        self._reorders = encoder.timeline.presentation_delay > 0
        self._current = _Open(file, encoder, encoder.number, [], content.copy(), content, flags)

    def finish(self) -> None:
        """Closes the open segment for good at the next sync, though no other follows."""
        if self._current is not None:
            self._finished.append(self._current)
            self._current = None

    @property
    def is_open(self) -> bool:
        """Whether a segment is being written."""
        return self._current is not None or bool(self._finished)

    @property
    def chain(self) -> Chain | None:
        """What makes its seals."""
        return self._chain

    @property
    def is_dirty(self) -> bool:
        """Whether something waits for a sync."""
        return bool(self._finished) or (self._current is not None and self._current.file.is_dirty)

    def drop(self, fragment: Fragment, noticed_ns: int) -> None:
        """Leaves a fragment out; the next one written tells it. `noticed_ns`: UTC nanoseconds."""
        self.lost_frames += self._losses.drop(fragment, self._last_written(), noticed_ns)

    def must_sync_before(self, fragment: Fragment) -> bool:
        """Whether what is written has to be on the disk before a fragment is written.

        A power cut leaves any part of what was not synced. Inside a segment the numbers of its fragments betray what
        is missing; the end of a segment nothing does, nor its beginning, which tells what pictures there are. So the
        next begins only behind a whole one, and goes on only behind its beginning.
        """
        current = self._current
        if current is None or not current.unsynced:
            return False
        return self._goes_into_new(fragment) or current.committed_number == 0

    def _goes_into_new(self, fragment: Fragment) -> bool:
        current = self._current
        return current is None or fragment.opens_segment or current.encoder.started.epoch != fragment.started.epoch

    def write(self, fragment: Fragment, noticed_ns: int) -> Exception | None:
        """Writes a fragment. If the disk refuses, or the fragment cannot be encoded, drops it and returns why."""
        try:
            opened = self._open_for(fragment)
        except OSError as error:
            self.drop(fragment, noticed_ns)
            return error
        lost = self._losses.notes(fragment.first)
        number = opened.encoder.number
        try:
            position = opened.file.position
            encoded = opened.encoder.encode(fragment, [*lost, *fragment.lost], position, is_first=position == 0)
            opened.file.append(encoded.media, encoded.row_box, encoded.growth)
        except (OSError, ValueError, struct.error) as error:
            opened.encoder.number = number
            self.drop(fragment, noticed_ns)
            return error
        self._losses.clear()
        opened.unsynced.append(fragment)
        if self._chain is not None:
            _cover(opened, encoded, fragment)
        return None

    def _open_for(self, fragment: Fragment) -> _Open:
        current = self._current
        epoch = fragment.started.epoch
        if current is not None and not self._goes_into_new(fragment):
            return current
        self._reorders = self._reorders or reorders(fragment)
        frames = fragment.frames
        seq = frames[0].seq if frames else self._expected_seq(epoch)
        durable_folder(self.folder)
        file = self._create(fragment.started, seq)
        if current is not None:
            self._finished.append(current)
        encoder = FragmentEncoder(fragment.started, reorders=self._reorders)
        self._current = _Open(file, encoder, 0, [], ContentHash(), ContentHash())
        return self._current

    def _create(self, started: frames_pb2.EpochStarted, seq: int) -> SegmentFile:
        """The file of a new segment that begins with a frame's seq.

        That name is taken where a segment with notes alone was closed before the frame came, or one that cannot be
        read lies there: then the next free name, which sorts behind it all the same.
        """
        for name in range(seq, seq + _NAMES_TRIED):
            self.has_new_names = True
            try:
                return SegmentFile.create(self.folder, Segment(started.epoch, name).described(started))
            except FileExistsError:
                log.warning("name of a segment is taken: the next one", camera=self.camera, epoch=started.epoch,
                            opened_seq=name)  # fmt: skip
        raise FileExistsError(errno.EEXIST, f"{_NAMES_TRIED} names of segments are taken")

    def _expected_seq(self, epoch: int) -> int:
        last = self._last_written()
        return last.seq + 1 if last is not None and last.epoch == epoch else 0

    def _last_written(self) -> FrameId | None:
        for opened in (self._current, *reversed(self._finished)):
            for fragment in reversed(opened.unsynced if opened is not None else []):
                if fragment.last is not None:
                    return fragment.last
        return self.watermark

    def sync(self, noticed_ns: int) -> Exception | None:
        """Brings everything written to the disk. What the disk refuses is dropped; returns why, if so."""
        failure: Exception | None = None
        for opened in self._all_open():
            is_closing = opened is not self._current
            try:
                self._sync(opened, noticed_ns, is_closing=is_closing)
            except OSError as error:
                failure = error
                opened.encoder.number = opened.committed_number
                opened.content = opened.committed_content.copy()
                fragments, opened.unsynced = opened.unsynced, []
                for fragment in fragments:
                    self.drop(fragment, noticed_ns)
                if is_closing:  # what was confirmed before can still be sealed; if not, the next start does it
                    with contextlib.suppress(OSError):
                        self._sync(opened, noticed_ns, is_closing=True)
        return failure

    def _sync(self, opened: _Open, closed_ns: int, *, is_closing: bool, flags: int = 0) -> None:
        """Syncs a segment, with its seal if it closes. Raises OSError; then neither is on disk.

        A disk without room for the seal gets none: the frames go before, and the next start sees to it.
        """
        seal: Seal | None = None
        if is_closing and self._chain is not None and opened.content.fragments:
            record = opened.file.record
            seal = self._chain.next(record.epoch, record.opened_seq, opened.content, closed_ns, opened.flags | flags)
            try:
                opened.file.append_seal(seal.encode())
            except OSError as error:
                seal = None
                log.error("segment could not be sealed", camera=self.camera, segment=record.name, reason=error.strerror)
        opened.file.sync()
        if seal is not None and self._chain is not None:
            self._chain.advance(seal)
            opened.is_sealed = True

    def commit(self) -> Commit:
        """Makes what is synced visible to readers."""
        closed = []
        for opened in self._all_open():
            record = opened.file.commit()
            opened.committed_number = opened.encoder.number
            opened.unsynced.clear()
            opened.committed_content = opened.content.copy()
            if record.frames:
                self.watermark = FrameId(self.camera, record.epoch, record.last_seq)
            if opened is not self._current:
                self.has_new_names = True
                if record.size == 0:
                    opened.file.discard()
                    continue
                opened.file.close()
                self._enter(record, is_sealed=opened.is_sealed or self._chain is None)
                closed.append(record)
        self._finished.clear()
        current = self._current.file.record if self._current is not None else None
        return Commit(self.camera, closed, current if current is not None and current.size else None, self.watermark)

    def _enter(self, record: Segment, *, is_sealed: bool) -> None:
        """Enters a closed segment into the catalogue. Without a record, the next start sees to its seal."""
        self.closed_names.append(record.name)
        try:
            if is_sealed:
                append_catalogue(self.folder, record)
        except OSError:  # a cache: made again at the next start
            is_sealed = False
        self.is_catalogued = self.is_catalogued and is_sealed

    @property
    def open_name(self) -> str:
        """Name of the segment that is being written; empty if none is."""
        return self._current.file.record.name if self._current is not None else ""

    def close(self, closed_ns: int | None = None) -> None:
        """Closes the files. `closed_ns` (UTC) at an orderly stop: seals the open segment until it is gone on with."""
        current = self._current
        if closed_ns is not None and current is not None and not current.file.is_dirty:
            with contextlib.suppress(OSError):
                self._sync(current, closed_ns, is_closing=True, flags=RESUMABLE)
        for opened in self._all_open():
            opened.file.close()

    def _all_open(self) -> list[_Open]:
        return [*self._finished, *([self._current] if self._current is not None else [])]


def _cover(opened: _Open, encoded: Encoded, fragment: Fragment) -> None:
    """Takes a fragment that was written into the hash of its segment's content."""
    frames = fragment.frames
    content = opened.content
    content.begin(sum(map(len, encoded.container)), len(frames), len(encoded.row_box))
    content.feed(*encoded.container, *(frame.digest for frame in frames), encoded.row_box)
    content.end((frames[0].seq, frames[-1].seq) if frames else None, opened.file.position)
