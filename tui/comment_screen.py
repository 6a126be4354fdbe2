"""One line to write a comment to an alarm.

What should not be in this module: sending it (`app`).
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from trueframe.alarms import EventSight
from trueframe.situation import Situation
from tui.keys import Key, bindings
from tui.status import AlarmLine

LONGEST = 4000
CLOSE = (Key("comment.close", "escape", "close", "back, without a comment", "Esc"),)


class CommentScreen(ModalScreen[str | None]):
    """Returns what was written, or None. Alarms stay in sight."""

    DEFAULT_CSS = """
    CommentScreen { align: center middle; background: #101010 60%; }
    CommentScreen > Vertical { width: 80; max-width: 95%; height: auto; background: #181818; border: solid #505050;
        padding: 0 1; }
    CommentScreen Input { background: #101010; border: none; height: 1; margin: 1 0; }
    CommentScreen Static { height: auto; }
    """
    BINDINGS = bindings(CLOSE)

    def __init__(self, event: EventSight, situation: Situation) -> None:
        super().__init__()
        self._event = event
        self._situation = situation

    def compose(self) -> ComposeResult:
        """What it is about, and the line."""
        yield AlarmLine(self._situation)
        with Vertical():
            yield Static(f"Comment on: {self._event.summary}", markup=False)
            yield Input(max_length=LONGEST, placeholder="Enter keeps it for good, Esc leads back")

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Done."""
        self.dismiss(message.value.strip() or None)

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)
