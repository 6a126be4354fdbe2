"""What was told to the recorder and could not be written, remembered until it can be told on disk.

Pure and bounded: the frames of dropped fragments become counted gaps, their notes are kept in order, and when there is
too much of it, it becomes one gap.
"""

from __future__ import annotations

from media_center.cutter import Fragment, Note, note_of
from mesh.ids import FrameId
from trueframe.v1 import frames_pb2

_MAX_ENTRIES = 64


class Losses:
    """What one camera's next fragment has to tell before its own items."""

    def __init__(self) -> None:
        self._entries: list[Note | frames_pb2.Gap] = []
        self._last_known: FrameId | None = None

    def __bool__(self) -> bool:
        return bool(self._entries)

    def drop(self, fragment: Fragment, after: FrameId | None, noticed_ns: int) -> int:
        """Takes a fragment that is not written; `after` is the last frame that was. Returns the frames lost.

        `noticed_ns`: UTC nanoseconds.
        """
        self._entries += fragment.lost
        if fragment.opens_segment:
            self._entries += [*fragment.leading, note_of(fragment.started)]
        lost = 0
        for item in fragment.items:
            if isinstance(item, Note):
                self._entries.append(item)
                continue
            lost += 1
            self._count_frame(item.camera, self._last_known or after, noticed_ns)
            self._last_known = item.id
        if len(self._entries) > _MAX_ENTRIES:
            self._merge()
        return lost

    def _count_frame(self, camera: str, after: FrameId | None, noticed_ns: int) -> None:
        last = self._entries[-1] if self._entries else None
        if not isinstance(last, frames_pb2.Gap):
            last = frames_pb2.Gap(
                camera=camera,
                after=after.to_proto() if after is not None else None,
                reason=frames_pb2.GAP_REASON_NOT_RECORDED,
                count=0,
                noticed_ns=noticed_ns,
            )
            self._entries.append(last)
        last.count += 1

    def _merge(self) -> None:
        gaps = [entry for entry in self._entries if isinstance(entry, frames_pb2.Gap)]
        if not gaps:
            self._entries = self._entries[-_MAX_ENTRIES:]
            return
        gaps[0].count = sum(gap.count for gap in gaps)
        self._entries = [gaps[0]]

    def notes(self, before: FrameId | None) -> list[Note]:
        """The notes to write. `before`: the first frame that follows, if one does."""
        notes = []
        for position, entry in enumerate(self._entries):
            if isinstance(entry, Note):
                notes.append(entry)
                continue
            told = frames_pb2.Gap()
            told.CopyFrom(entry)
            if position == len(self._entries) - 1 and before is not None:
                told.before.CopyFrom(before.to_proto())
            notes.append(note_of(told))
        return notes

    def clear(self) -> None:
        """Forgets what has been written."""
        self._entries.clear()
        self._last_known = None
