"""Colours, marks and words of the display: grey by default, saturated colour only for alarms, never colour alone.

What should not be in this module: when something is an alarm (`trueframe.situation`), drawing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from rich.style import Style

from trueframe.alarms import LAST_RANK, EventSight

GROUND = (16, 16, 16)
GROUND_HEX = "#101010"
ALARM_RGB = (255, 48, 48)
ALARM_HEX = "#ff3030"

PLAIN = Style(color="#a8a8a8", bgcolor=GROUND_HEX)
FAINT = Style(color="#6c6c6c", bgcolor=GROUND_HEX)
BRIGHT = Style(color="#f0f0f0", bgcolor=GROUND_HEX)
SELECTED = Style(color="#101010", bgcolor="#c8c8c8")
ALARM = Style(color="#ffffff", bgcolor="#c00000", bold=True)
ALARM_TEXT = Style(color=ALARM_HEX, bgcolor=GROUND_HEX, bold=True)
# What is over and was seen: the shape stays, the saturation goes.
PAST = Style(color="#909090", bgcolor=GROUND_HEX)
# A key that cannot be used.
DIMMED = Style(color="#505050", bgcolor=GROUND_HEX)

# Colours of priorities; the figure stands beside the colour.
_PRIORITIES = {1: ALARM_HEX, 2: "#ff9020", 3: "#ffd800", 4: "#58c8ff"}
BLINKS_PER_SECOND = 1


@dataclass(frozen=True, slots=True)
class Badge:
    """How a state is shown: by shape, by word, by colour."""

    mark: str
    word: str
    style: Style


STATES: Mapping[str, Badge] = {
    "connecting": Badge("◌", "CONNECTING", FAINT),
    "live": Badge("●", "LIVE", PLAIN),
    "silent": Badge("▲", "SILENT", ALARM),
    "frozen": Badge("▲", "FROZEN", ALARM),
    "refused": Badge("▲", "REFUSED", ALARM),
    "unauthorised": Badge("▲", "UNAUTHORISED", ALARM),
    "lost": Badge("▲", "LOST", ALARM),
    "disabled": Badge("○", "OFF", FAINT),
    "ended": Badge("■", "ENDED", FAINT),
}
UNKNOWN_STATE = Badge("?", "UNKNOWN", FAINT)

# Where an alarm stands, in five letters; RTN is control-room language for "returned to normal, not acknowledged".
ALARM_WORDS: Mapping[str, str] = {
    "unacknowledged": "UNACK",
    "returned_unacknowledged": "RTN",
    "acknowledged": "ack",
    "normal": "over",
    "none": "event",
}
HOLLOW = {"▲": "△", "■": "□", "◆": "◇"}
KINDS: Mapping[str, str] = {"anomaly": "▲", "camera": "■", "system": "◆"}


def badge_of(state: str) -> Badge:
    """The badge of a camera state, also of one that this version does not know."""
    return STATES.get(state, UNKNOWN_STATE)


def alarm_word(event: EventSight) -> str:
    """Where its alarm stands; "aside" while it is shelved, suppressed or out of service."""
    return "aside" if event.is_set_aside else ALARM_WORDS.get(event.alarm, event.alarm)


def mark_of(event: EventSight) -> str:
    """Shape by kind, hollow when the condition is over, and the priority as a figure."""
    mark = KINDS.get(event.kind, "◆")
    return f"{HOLLOW[mark] if event.ended_ns else mark}{event.priority}"


def alarm_style(event: EventSight, is_lit: bool) -> Style:
    """The colour of its priority while it waits or goes on, grey when it is over; inverse when it waits and is lit."""
    if event.rank == LAST_RANK:
        return PAST
    return _style(_PRIORITIES.get(event.priority, _PRIORITIES[4]), event.waits, is_lit)


@cache
def _style(colour: str, waits: bool, is_lit: bool) -> Style:
    if waits and is_lit:
        return Style(color=GROUND_HEX, bgcolor=colour, bold=True)
    return Style(color=colour, bgcolor=GROUND_HEX, bold=waits)


def is_lit(now_ns: int) -> bool:
    """Whether what blinks is in its bright half."""
    return (now_ns * 2 * BLINKS_PER_SECOND // 1_000_000_000) % 2 == 0


def has_true_colour(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal says that it shows 24-bit colour; 256 colours are used otherwise."""
    # TEXTUAL_COLOR_SYSTEM is what textual-serve says for browsers, and what a user may say for a terminal.
    if "truecolor" in (environment.get("COLORTERM", "").lower(), environment.get("TEXTUAL_COLOR_SYSTEM", "").lower()):
        return True
    if environment.get("COLORTERM", "").lower() == "24bit":
        return True
    term = environment.get("TERM", "")
    return term.endswith("-direct") or term in ("xterm-kitty", "alacritty", "foot", "wezterm", "xterm-ghostty")
