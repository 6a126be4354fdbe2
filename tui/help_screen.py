"""Help: the key table, as it stands.

What should not be in this module: the table (`keys`).
"""

from __future__ import annotations

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from trueframe.situation import Situation
from tui.keys import TABLE, Key, bindings
from tui.palette import KINDS, STATES
from tui.status import AlarmLine

CLOSE = (Key("help.close", "escape,question_mark,f1,q,enter", "close", "back", "Esc"),)


def key_table() -> Table:
    """All keys by the place where they work, then what the marks mean."""
    table = Table.grid(padding=(0, 2))
    for place, keys in TABLE.items():
        table.add_row(Text(place.upper(), style="bold #f0f0f0"), "")
        for key in keys:
            table.add_row(Text(f"  {key.shown}", style="#f0f0f0"), Text(key.words, style="#a8a8a8"))
    table.add_row(Text("MARKS", style="bold #f0f0f0"), "")
    for badge in STATES.values():
        table.add_row(Text(f"  {badge.mark}", style="#f0f0f0"), Text(badge.word.lower(), style="#a8a8a8"))
    for kind, mark in KINDS.items():
        table.add_row(
            Text(f"  {mark}", style="#f0f0f0"), Text(f"event: {kind}; hollow when it is over", style="#a8a8a8")
        )
    return table


class HelpScreen(ModalScreen[None]):
    """The keys. Alarms stay in sight; the wall goes on behind and is there at once."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: #101010; }
    HelpScreen > VerticalScroll { width: 64; max-width: 95%; height: auto; max-height: 95%; background: #181818;
        border: solid #505050; padding: 0 1; }
    HelpScreen Static { height: auto; }
    """
    BINDINGS = bindings(CLOSE)

    def __init__(self, situation: Situation) -> None:
        super().__init__()
        self._situation = situation

    def compose(self) -> ComposeResult:
        """The table."""
        yield AlarmLine(self._situation)
        with VerticalScroll():
            yield Static(key_table())

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)
