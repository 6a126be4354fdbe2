"""Recorded frames of a camera, one at a time: that of an alarm with its box, and from there on by frames and seconds.

What should not be in this module: fetching (`pictures`, `desk`), drawing (`frame_picture`), acknowledging (`app`).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from textual import work
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen

from mesh.errors import NotFound, TrueframeError, Unavailable
from mesh.ids import FrameId
from trueframe.alarms import BoxSight, EventSight
from trueframe.bearer import Bearer
from trueframe.situation import Situation
from trueframe.times import show_time
from tui.desk import Desk, Explained
from tui.frame_picture import FramePicture, Line, age_text, describe, explanation_lines
from tui.keys import FRAME_KEYS, bindings
from tui.notice import Notice
from tui.palette import ALARM_TEXT, BRIGHT, PLAIN, is_lit
from tui.pictures import Pictures, Shot
from tui.reel import Reel, Row
from tui.status import AlarmLine, StatusLine
from tui.tile import fit

SECOND_NS = 1_000_000_000
# A frame of this very moment is on disk two seconds later at the latest.
TRIES, TRY_AGAIN_S = 12, 0.4
# So many rows are known on both sides before somebody steps there, and so many pictures are fetched ahead.
MARGIN, ROWS_AHEAD, PICTURES_AHEAD = 10, 100, 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where to begin: a frame if it is known, else a moment."""

    camera: str
    frame: FrameId | None = None
    at_ns: int = 0


class FrameScreen(Screen[None]):
    """All that is slow happens in tasks; keys say where to go and are answered at once."""

    DEFAULT_CSS = "FrameScreen { background: #101010; }"
    BINDINGS = bindings(FRAME_KEYS)

    class LiveWanted(Message):
        """The user wants to see this camera live."""

        def __init__(self, camera: str) -> None:
            super().__init__()
            self.camera = camera

    class AcknowledgeWanted(Message):
        """The user has seen this alarm."""

        def __init__(self, event: EventSight | None) -> None:
            super().__init__()
            self.event = event

    class CommentWanted(Message):
        """The user wants to write to this event."""

        def __init__(self, event: EventSight | None) -> None:
            super().__init__()
            self.event = event

    def __init__(
        self,
        place: Place,
        event: EventSight | None,
        situation: Situation,
        desk: Desk,
        pictures: Pictures,
        bearer: Bearer,
        notice: Notice,
        true_colour: bool = True,
    ) -> None:
        super().__init__()
        self.event = event
        self.wanted: FrameId | None = place.frame
        self.is_explaining = False
        self.reel = Reel()
        self._place = place
        self._situation = situation
        self._desk = desk
        self._pictures = pictures
        self._picture = FramePicture(true_colour, bearer)
        self._status = StatusLine(situation, bearer, notice)
        self._shot: Shot | None = None
        self._said = ""
        self._tries = 0
        self._direction = 1
        # What keys asked for that cannot be said to be a frame yet.
        self._owed = 0
        self._jump_ns = place.at_ns if place.frame is None else 0
        self._has_work = asyncio.Event()
        self._explained: tuple[FrameId, list[Explained]] | None = None

    def compose(self) -> ComposeResult:
        """The frame; alarms and the status line stay in sight."""
        yield AlarmLine(self._situation)
        yield self._picture
        yield self._status

    def on_mount(self) -> None:
        """Asks for the first frame."""
        self._pictures.told = self._picture_told
        if self.wanted is not None:
            self._aim(self.wanted)
        elif not self._jump_ns:
            self._said = "this alarm is about no frame"
        self._look_around()
        self._has_work.set()
        self.draw_newest()

    def on_unmount(self) -> None:
        """Wants nothing any more; another screen may want something already."""
        if self._pictures.told == self._picture_told:
            self._pictures.told = lambda frame, answer: None
            self._pictures.want([], self._fetch_width)

    # Where to go.

    def _aim(self, frame: FrameId) -> None:
        """This frame is wanted, then those that the next steps lead to."""
        self.wanted, self._tries = frame, 0
        ahead = (n * self._direction for n in (*range(1, PICTURES_AHEAD + 1), -1))
        rows = (self.reel.neighbour(frame, step) for step in ahead)
        self._pictures.want([frame, *(row.id for row in rows if row is not None)], self._fetch_width)
        self._said = ""
        shot = self._pictures.get(frame)
        if shot is not None:
            self._show(shot)
        else:
            self._said = f"fetching {frame} …"
        self._has_work.set()
        self.draw_newest()

    @property
    def _fetch_width(self) -> int:
        # In steps, so that a terminal that is a little wider can use what is there.
        return max(160, min(1280, -(-(self._picture.size.width or self.app.size.width) // 64) * 64))

    def _picture_told(self, frame: FrameId, answer: Shot | Exception) -> None:
        if frame != self.wanted:
            return
        if isinstance(answer, Shot):
            self._show(answer)
        elif isinstance(answer, NotFound | Unavailable) and self._tries < TRIES:
            self._tries += 1
            what = "is not on disk yet" if isinstance(answer, NotFound) else "cannot be had at the moment"
            self._said = f"{frame} {what} …"
            self.set_timer(TRY_AGAIN_S, lambda: self._try_again(frame))
        else:
            self._said = str(answer)
        self.draw_newest()

    def _try_again(self, frame: FrameId) -> None:
        if frame == self.wanted:
            self._pictures.want([frame], self._fetch_width)

    def _show(self, shot: Shot) -> None:
        self._shot, self._said = shot, ""
        row = self.reel.row(shot.id)
        if row is None:
            self.reel.start_at(Row(shot.id, shot.received_ns))
            self._has_work.set()
        if self.is_explaining:
            self._explain(Row(shot.id, shot.received_ns))

    @work(group="reel", exclusive=True)
    async def _look_around(self) -> None:
        """Finds out which frames stand around the wanted one, and what steps into the unknown lead to."""
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            try:
                if self._jump_ns:
                    await self._jump()
                if self.wanted is not None and (row := self.reel.row(self.wanted)) is not None:
                    await self._know_margins(row)
            except TrueframeError as error:
                self._owed, self._jump_ns = 0, 0
                self._said = str(error)
                self.draw_newest()

    async def _jump(self) -> None:
        wanted_ns, camera = self._jump_ns, self._place.camera
        row = await self._desk.locate(camera, wanted_ns)
        if wanted_ns != self._jump_ns:
            # Pressed again meanwhile.
            self._has_work.set()
            return
        self._jump_ns = 0
        self.reel.start_at(row)
        self._aim(row.id)

    async def _know_margins(self, row: Row) -> None:
        known = len(self.reel)
        await self._know_before(row)
        await self._know_behind(row)
        self.reel.trim(row.id)
        owed, self._owed = self._owed, 0
        if owed and self.wanted == row.id:
            self._take(owed)
        elif known == 1 < len(self.reel) and self.wanted == row.id:
            # Now that neighbours are known their pictures can be fetched ahead.
            self._aim(row.id)

    async def _know_before(self, row: Row) -> None:
        while self.reel.margins(row.id)[0] < max(MARGIN, -self._owed) and not self.reel.begins:
            first = self.reel.first
            assert first is not None
            rows = await self._desk.rows_until(first)
            self.reel.begins = len(rows) <= 1
            self.reel.extend(rows)

    async def _know_behind(self, row: Row) -> None:
        while self.reel.margins(row.id)[1] < max(MARGIN, self._owed):
            last = self.reel.last
            assert last is not None
            rows = await self._desk.rows_from(last, ROWS_AHEAD)
            self.reel.extend(rows)
            if len(rows) <= 1:
                # More is recorded all the time: this is the end for now, and asked again with the next step.
                return

    def _step(self, step: int) -> None:
        """So many frames on; what is not known yet is owed until it is."""
        if self.wanted is None:
            return
        row = self.reel.neighbour(self.wanted, step) if not self._owed else None
        if row is not None:
            self._aim(row.id)
        else:
            self._owed += step
            self._has_work.set()

    def _take(self, step: int) -> None:
        """The same once all is known that there is: to the end, where there are not so many."""
        assert self.wanted is not None
        row = self.reel.neighbour(self.wanted, step)
        if row is not None:
            self._aim(row.id)
            return
        edge = self.reel.last if step > 0 else self.reel.first
        if edge is not None and edge.id != self.wanted:
            self._aim(edge.id)
        self._said = "this is the newest recorded frame; r shows the camera live" if step > 0 else "the oldest frame"
        self.draw_newest()

    # Keys.

    def action_step(self, step: int) -> None:
        """To the frame before or after."""
        self._direction = 1 if step > 0 else -1
        self._step(step)

    def action_jump(self, seconds: int) -> None:
        """Seconds back or on."""
        shown_ns = self._shot.received_ns if self._shot is not None else self._place.at_ns
        row = self.reel.row(self.wanted) if self.wanted is not None else None
        base_ns = self._jump_ns or (row.received_ns if row is not None else shown_ns)
        if base_ns:
            self._direction = 1 if seconds > 0 else -1
            self._jump_ns, self._owed = base_ns + seconds * SECOND_NS, 0
            self._said = f"looking for {show_time(self._jump_ns)} …"
            self._has_work.set()
            self.draw_newest()

    def action_go(self, which: str) -> None:
        """To the first, peak or last frame of the alarm."""
        event = self._event_now
        if event is None:
            return
        frame = {"first": event.first, "peak": event.peak, "last": event.last}[which]
        if frame is not None:
            # Another place: what stands around it is found when it is shown.
            self._jump_ns, self._owed = 0, 0
            self._aim(frame)

    def action_explain(self) -> None:
        """Shows or hides what inspections say of the frame in sight."""
        self.is_explaining = not self.is_explaining
        self._explained = None
        if self.is_explaining and self._shot is not None:
            self._explain(Row(self._shot.id, self._shot.received_ns))
        self.draw_newest()

    @work(group="explain", exclusive=True)
    async def _explain(self, row: Row) -> None:
        try:
            self._explained = row.id, await self._desk.explain(row)
        except TrueframeError as error:
            self._explained = row.id, [Explained("ledger", "no answer", str(error))]
        self.draw_newest()

    def action_acknowledge(self) -> None:
        """Acknowledges the alarm."""
        self.post_message(self.AcknowledgeWanted(self._event_now))

    def action_comment(self) -> None:
        """Writes to the alarm."""
        self.post_message(self.CommentWanted(self._event_now))

    def action_live(self) -> None:
        """The camera, live."""
        self.post_message(self.LiveWanted(self._place.camera))

    def action_close(self) -> None:
        """Back to where one came from."""
        self.dismiss(None)

    def on_resize(self) -> None:
        """Fits the picture again."""
        self.draw_newest()

    # Drawing.

    @property
    def _event_now(self) -> EventSight | None:
        """The alarm as it stands now."""
        return self.event and (self._situation.event(self.event.id) or self.event)

    def _boxes(self) -> tuple[BoxSight, ...]:
        """Those of the alarm on its highest frame; what inspections saw on others, when they are asked."""
        event, shot = self._event_now, self._shot
        if shot is None:
            return ()
        if self._explained is not None and self._explained[0] == shot.id and self.is_explaining:
            return tuple(box for one in self._explained[1] for box in one.boxes)
        return event.boxes if event is not None and event.peak == shot.id else ()

    def draw_newest(self) -> None:
        """Draws what changed."""
        if not self.is_mounted or not self._picture.size.width:
            return
        width, now_ns = self._picture.size.width, time.time_ns()
        event = self._event_now
        head: list[Line] = (
            describe(event, width, is_lit(now_ns))
            if event is not None
            else [[(fit(f" ■ RECORDED  {self._place.camera}", width), BRIGHT)]]
        )
        self._picture.show(self._shot, self._boxes(), head, self._foot(width, now_ns), keep_picture=True)

    def _foot(self, width: int, now_ns: int) -> list[Line]:
        lines: list[Line] = []
        shot = self._shot
        if self._said or shot is None:
            lines.append([(fit(f" {self._said}", width), BRIGHT)])
        else:
            exact = "  not exact: damaged, or follows damage" if shot.inexact else ""
            row = self.reel.row(shot.id)
            gap = f"  before it {row.gap}" if row is not None and row.gap else ""
            text = f" {shot.id}  {show_time(shot.received_ns)}  {age_text(shot.received_ns, now_ns)}{exact}"
            lines.append([(text, BRIGHT), (fit(gap, max(0, width - len(text))), ALARM_TEXT)])
        if self.is_explaining:
            found = self._explained
            if found is not None and shot is not None and found[0] == shot.id:
                lines += explanation_lines(found[1], width)
            else:
                lines.append([(fit(" asking the ledger …", width), PLAIN)])
        return lines
