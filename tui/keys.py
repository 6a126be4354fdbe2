"""The key table: every key has an id, keys, an action and words; help and bindings are made of it.

What should not be in this module: what an action does.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Key:
    """One thing a keystroke does. `keys`: comma-separated, as Textual names them; `shown`: as people read them."""

    id: str
    keys: str
    action: str
    words: str
    shown: str


APP_KEYS = (
    Key("app.help", "question_mark,f1", "help", "this help", "?"),
    Key("app.next", "tab", "next_pane", "wall ↔ events", "Tab"),
    Key("app.back", "escape", "back", "back", "Esc"),
    Key("app.quit", "q,ctrl+c", "quit", "quit", "q"),
)
WALL_KEYS = (
    Key("wall.left", "left,h", "move(-1,0)", "camera to the left", "←"),
    Key("wall.right", "right,l", "move(1,0)", "camera to the right", "→"),
    Key("wall.up", "up,k", "move(0,-1)", "camera above", "↑"),
    Key("wall.down", "down,j", "move(0,1)", "camera below", "↓"),
    Key("wall.page-up", "pageup", "page(-1)", "page before", "PgUp"),
    Key("wall.page-down", "pagedown", "page(1)", "next page", "PgDn"),
    Key("wall.zoom", "enter,space", "zoom", "this camera large, or all again", "Enter"),
)
EVENT_KEYS = (
    Key("events.up", "up,k", "move(-1)", "newer event", "↑"),
    Key("events.down", "down,j", "move(1)", "older event", "↓"),
    Key("events.page-up", "pageup", "move(-10)", "ten newer", "PgUp"),
    Key("events.page-down", "pagedown", "move(10)", "ten older", "PgDn"),
    Key("events.newest", "home", "newest", "the newest; stays with it", "Home"),
    Key("events.show", "enter", "show", "its recorded frame, with its box", "Enter"),
)
FRAME_KEYS = (
    Key("frame.before", "left,h", "step(-1)", "the frame before", "←"),
    Key("frame.after", "right,l", "step(1)", "the frame after", "→"),
    Key("frame.first", "f", "go('first')", "first frame of the event", "f"),
    Key("frame.peak", "p", "go('peak')", "frame of the highest score", "p"),
    Key("frame.last", "e", "go('last')", "last frame of the event", "e"),
    Key("frame.close", "escape,q,enter", "close", "back", "Esc"),
)
TABLE = {"anywhere": APP_KEYS, "wall": WALL_KEYS, "events": EVENT_KEYS, "recorded frame": FRAME_KEYS}


def bindings(keys: tuple[Key, ...]) -> list[BindingType]:
    """The same for Textual; ids make them remappable through its keymap."""
    return [Binding(key.keys, key.action, key.words, show=False, id=key.id) for key in keys]
