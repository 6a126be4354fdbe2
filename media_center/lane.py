"""One camera's way to the disk, as the writer thread walks it: fragments in, segments written, losses kept in mind.

What belongs here: opening and closing segments, and what happens to fragments when the disk refuses. What does not:
the thread, the queue and the rounds of syncing (`writer`).
"""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from pathlib import Path

from media_center.catalogue import Segment, append_catalogue
from media_center.cutter import Fragment
from media_center.fragment import FragmentEncoder, reorders
from media_center.losses import Losses
from media_center.segment import SegmentFile
from mesh.ids import FrameId


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


class Lane:
    """Writes one camera's fragments. Not thread-safe: the writer thread owns it. Raises nothing for a bad disk."""

    def __init__(self, camera: str, folder: Path, watermark: FrameId | None) -> None:
        self.camera = camera
        self.folder = folder
        self.watermark = watermark
        self.lost_frames = 0
        self._current: _Open | None = None
        self._finished: list[_Open] = []
        self._losses = Losses()
        self._reorders = False

    def resume(self, file: SegmentFile, encoder: FragmentEncoder) -> None:
        """Goes on with a segment that is open on disk."""
        self._reorders = encoder.timeline.presentation_delay > 0
        self._current = _Open(file, encoder, encoder.number, [])

    @property
    def is_dirty(self) -> bool:
        """Whether something waits for a sync."""
        return bool(self._finished) or (self._current is not None and self._current.file.is_dirty)

    def drop(self, fragment: Fragment, noticed_ns: int) -> None:
        """Leaves a fragment out; the next one written tells it. `noticed_ns`: UTC nanoseconds."""
        self.lost_frames += self._losses.drop(fragment, self._last_written(), noticed_ns)

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
            opened.file.append(encoded.media, encoded.row_box)
        except (OSError, ValueError, struct.error) as error:
            opened.encoder.number = number
            self.drop(fragment, noticed_ns)
            return error
        self._losses.clear()
        opened.unsynced.append(fragment)
        return None

    def _open_for(self, fragment: Fragment) -> _Open:
        current = self._current
        epoch = fragment.started.epoch
        if current is not None and not fragment.opens_segment and current.encoder.started.epoch == epoch:
            return current
        self._reorders = self._reorders or reorders(fragment)
        frames = fragment.frames
        seq = frames[0].seq if frames else self._expected_seq(epoch)
        record = Segment(epoch, seq).described(fragment.started)
        self.folder.mkdir(parents=True, exist_ok=True)
        file = SegmentFile.create(self.folder, record)
        if current is not None:
            self._finished.append(current)
        self._current = _Open(file, FragmentEncoder(fragment.started, reorders=self._reorders), 0, [])
        return self._current

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
            try:
                opened.file.sync()
            except OSError as error:
                failure = error
                opened.encoder.number = opened.committed_number
                fragments, opened.unsynced = opened.unsynced, []
                for fragment in fragments:
                    self.drop(fragment, noticed_ns)
        return failure

    def commit(self) -> Commit:
        """Makes what is synced visible to readers."""
        closed = []
        for opened in self._all_open():
            record = opened.file.commit()
            opened.committed_number = opened.encoder.number
            opened.unsynced.clear()
            if record.frames:
                self.watermark = FrameId(self.camera, record.epoch, record.last_seq)
            if opened is not self._current:
                if record.size == 0:
                    opened.file.discard()
                    continue
                opened.file.close()
                with contextlib.suppress(OSError):  # a cache: made again at the next start
                    append_catalogue(self.folder, record)
                closed.append(record)
        self._finished.clear()
        current = self._current.file.record if self._current is not None else None
        return Commit(self.camera, closed, current if current is not None and current.size else None, self.watermark)

    def close(self) -> None:
        """Closes the files."""
        for opened in self._all_open():
            opened.file.close()

    def _all_open(self) -> list[_Open]:
        return [*self._finished, *([self._current] if self._current is not None else [])]
