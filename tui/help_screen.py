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

from trueframe.bearer import Bearer
from trueframe.situation import Situation
from tui.keys import TABLE, Key, bindings
from tui.palette import KINDS, STATES
from tui.status import AlarmLine

LIGHT, GREY, DIM = "#f0f0f0", "#a8a8a8", "#505050"
WORDS = {
    "UNACK": "it goes on, nobody has acknowledged it; blinks",
    "RTN": "it is over, nobody has acknowledged it; blinks",
    "ack": "it goes on, somebody has seen it",
    "over": "it is over and was seen",
}
CLOSE = (Key("help.close", "escape,question_mark,f1,q,enter", "close", "back", "Esc"),)


def key_table(bearer: Bearer) -> Table:
    """All keys by the place where they work, those that cannot be used dimmed; then what the marks mean."""
    table = Table.grid(padding=(0, 2))
    for place, keys in TABLE.items():
        table.add_row(Text(place.upper(), style=f"bold {LIGHT}"), "")
        for key in keys:
            why = key.why_not(bearer)
            words = f"{key.words} ({why})" if why else key.words
            table.add_row(Text(f"  {key.shown}", style=DIM if why else LIGHT), Text(words, style=DIM if why else GREY))
    table.add_row(Text("MARKS", style=f"bold {LIGHT}"), "")
    for badge in STATES.values():
        table.add_row(Text(f"  {badge.mark}", style=LIGHT), Text(badge.word.lower(), style=GREY))
    for kind, mark in KINDS.items():
        table.add_row(Text(f"  {mark}2", style=LIGHT), Text(f"{kind}, priority 2; hollow when it is over", style=GREY))
    for word, meaning in WORDS.items():
        table.add_row(Text(f"  {word}", style=LIGHT), Text(meaning, style=GREY))
    return table


class HelpScreen(ModalScreen[None]):
    """The keys. Alarms stay in sight; the wall goes on behind and is there at once."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: #101010; }
    HelpScreen > VerticalScroll { width: 100; max-width: 95%; height: auto; max-height: 95%; background: #181818;
        border: solid #505050; padding: 0 1; }
    HelpScreen Static { height: auto; }
    """
    BINDINGS = bindings(CLOSE)

    def __init__(self, situation: Situation, bearer: Bearer) -> None:
        super().__init__()
        self._situation = situation
        self._bearer = bearer

    def compose(self) -> ComposeResult:
        """The table."""
        yield AlarmLine(self._situation)
        with VerticalScroll():
            yield Static(key_table(self._bearer))

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)
