"""The way through a selection of one camera's rows: what its stream consists of, piece by piece.

What belongs here: which rows of which segments are walked, segments that cannot be read, going on later with newer
footage. What does not: what rows mean (`walk`) and payloads (`stream`). Reads files: call it in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from media_center.catalogue import Segment, View
from media_center.footage import CameraFootage, Position, carried_over
from media_center.ranges import Selection
from media_center.walk import Run, Told, Walker


class Passage:
    """Goes through a selection once; `pieces` may be called again with newer footage to go on where it stopped."""

    def __init__(self, selection: Selection, camera: str) -> None:
        self._next = selection.begin
        self._stop = selection.stop
        self._before = selection.before
        self._walker = Walker(camera, selection.after)
        self._gone, self._gone_behind = selection.gone, selection.gone_behind
        self._is_gone_whole = selection.is_gone_whole
        self._view: View | None = None
        self.camera = camera

    def pieces(
        self, footage: CameraFootage, *, passes_over: Callable[[int], bool] | None = None
    ) -> Iterator[Run | Segment | Told]:
        """The pieces from where it stands to the end of the selection, or of what is recorded now.

        An unbroken segment that lies inside the selection and that `passes_over` (its number) agrees to is one piece,
        and its rows are not read.
        """
        self._turn_to(footage.view)
        if self._gone:
            gone, self._gone = self._gone, ()
            first = footage.first_at_or_after(0, 0)
            oldest = footage.id_at(first) if first is not None else None
            yield from self._walker.begin(gone, oldest, is_whole=self._is_gone_whole)
        stop = self._stop
        end = len(footage.view) if stop is None else min(stop.segment + 1, len(footage.view))
        for segment in range(self._next.segment, end):
            first_row = self._next.row if segment == self._next.segment else 0
            stop_row = stop.row if stop is not None and segment == stop.segment else None
            record = footage.view[segment]
            is_inside = first_row == 0 and stop_row is None and record.frames > 0 and record.breaks == 0
            if is_inside and passes_over is not None and passes_over(segment):
                yield from self._walker.pass_over(record)
                yield record
                continue
            found = footage.rows(segment)
            if not len(found.rows) and record.frames and first_row == 0:
                self._next = Position(segment + 1, 0)
                yield from self._walker.lose(record, has_expired=footage.view.has_expired(segment))
                continue
            stop_row = len(found.rows) if stop_row is None else min(stop_row, len(found.rows))
            # Before payloads are read: whoever stops in the middle does not come back.
            self._next = Position(segment, max(first_row, stop_row))
            yield from self._walker.feed(segment, found, first_row, stop_row)
        if self._before is not None:
            before, self._before = self._before, None
            yield from self._walker.reach(*before)

        if self._gone_behind:
            behind, self._gone_behind = self._gone_behind, ()
            yield self._walker.pass_behind(behind, is_whole=self._is_gone_whole)

    def _turn_to(self, view: View) -> None:
        """Goes on in another view. Retention may have taken segments out of it, the next one among them."""
        if self._view is not None and self._view is not view:
            self._next = carried_over(self._next, self._view, view)
        self._view = view
        self._walker.expired = view.expired
