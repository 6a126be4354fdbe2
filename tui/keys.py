"""The key table: every key has an id, keys, an action and words; help and bindings are made of it.

What should not be in this module: what an action does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from textual.binding import Binding, BindingType

from trueframe.bearer import Bearer

ACKNOWLEDGE = "/trueframe.v1.EventService/AcknowledgeEvent"
COMMENT = "/trueframe.v1.EventService/CommentEvent"


@dataclass(frozen=True, slots=True)
class Key:
    """One thing a keystroke does. `keys`: comma-separated, as Textual names them; `shown`: as people read them.

    `rpc`: what it asks of a service, where not everybody may: a bearer who may not sees it dimmed, and why.
    """

    id: str
    keys: str
    action: str
    words: str
    shown: str
    rpc: str = ""

    def why_not(self, bearer: Bearer) -> str:
        """Why this bearer cannot use it; empty if they can."""
        return bearer.why_not(self.rpc) if self.rpc else ""


APP_KEYS = (
    Key("app.help", "question_mark,f1", "help", "this help", "?"),
    Key("app.next", "tab", "next_pane", "wall ↔ alarms", "Tab"),
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
    Key("wall.zoom", "enter,space", "zoom", "this camera large, with its alarms, or all again", "Enter"),
    Key("wall.recorded", "comma", "recorded(0)", "its newest recorded frame", ","),
    Key("wall.recorded-back", "less_than_sign", "recorded(-10)", "its recorded frame of ten seconds ago", "<"),
    Key("wall.acknowledge", "a", "acknowledge", "acknowledging is done in the list of alarms: Tab", "a", ACKNOWLEDGE),
)
ACKNOWLEDGE_KEY = Key("alarms.acknowledge", "a", "acknowledge", "acknowledge: you have seen it", "a", ACKNOWLEDGE)
COMMENT_KEY = Key("alarms.comment", "c", "comment", "write a comment", "c", COMMENT)
EVENT_KEYS = (
    Key("alarms.up", "up,k", "move(-1)", "alarm above", "↑"),
    Key("alarms.down", "down,j", "move(1)", "alarm below", "↓"),
    Key("alarms.page-up", "pageup", "move(-10)", "ten up", "PgUp"),
    Key("alarms.page-down", "pagedown", "move(10)", "ten down", "PgDn"),
    Key("alarms.first", "home", "first", "the most urgent; stays with it", "Home"),
    Key("alarms.show", "enter", "show", "its recorded frame, with its box", "Enter"),
    ACKNOWLEDGE_KEY,
    COMMENT_KEY,
)
FRAME_KEYS = (
    Key("frame.before", "comma,left,h", "step(-1)", "the frame before", ","),
    Key("frame.after", "full_stop,right,l", "step(1)", "the frame after", "."),
    Key("frame.back", "less_than_sign", "jump(-10)", "ten seconds back", "<"),
    Key("frame.on", "greater_than_sign", "jump(10)", "ten seconds on", ">"),
    Key("frame.first", "f,home", "go('first')", "first frame of the alarm", "f"),
    Key("frame.peak", "p", "go('peak')", "frame of the highest score", "p"),
    Key("frame.last", "end", "go('last')", "last frame of the alarm", "End"),
    Key("frame.explain", "e", "explain", "what inspections say of this frame", "e"),
    replace(ACKNOWLEDGE_KEY, id="frame.acknowledge"),
    replace(COMMENT_KEY, id="frame.comment"),
    Key("frame.live", "r", "live", "this camera live and large", "r"),
    Key("frame.close", "escape,q,enter", "close", "back", "Esc"),
)
TABLE = {"anywhere": APP_KEYS, "wall": WALL_KEYS, "alarms": EVENT_KEYS, "recorded frame": FRAME_KEYS}
# The few that a line at the bottom has room for.
FRAME_HINTS = (("frame.before", "back"), ("frame.after", "on"), ("frame.back", "10 s"), ("frame.on", "10 s"),
               ("frame.peak", "peak"), ("frame.explain", "explain"), ("frame.acknowledge", "ack"),
               ("frame.comment", "comment"), ("frame.live", "live"), ("frame.close", "back"))  # fmt: skip


def bindings(keys: tuple[Key, ...]) -> list[BindingType]:
    """The same for Textual; ids make them remappable through its keymap."""
    return [Binding(key.keys, key.action, key.words, show=False, id=key.id) for key in keys]
