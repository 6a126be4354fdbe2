"""A mistake in rules, shown where it is: line and column, the line itself and a caret under what is wrong."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

from mesh.errors import InvalidArgument

_SHOWN = 100
"""Columns of a long line that are shown."""


class RuleError(InvalidArgument):
    """Rules that cannot be read. `str` of it has three lines: place and reason, the line of text, the caret."""

    def __init__(self, thing: str, reason: str, remedy: str = "", line: int = 0, column: int = 0) -> None:
        super().__init__(thing, reason, remedy)
        self.line = line
        """From 1."""
        self.column = column
        """From 1, in characters."""


def problem(line: int, column: int, width: int, text: str, why: str) -> RuleError:
    """The error for `width` characters from `column` on of `text`, the line of that number; all counted from 1."""
    return RuleError(
        f"rules, line {line}, column {column}",
        f"{why}\n{pointed(text, column, width)}",
        line=line,
        column=column,
    )


def pointed(text: str, column: int, width: int) -> str:
    """The line with carets under the mistake. Wide and combining characters take the columns a terminal gives them."""
    begin = max(0, column - 1 - _SHOWN * 2 // 3)
    lead = "…" if begin else ""
    shown = "".join(" " if one < " " else one for one in text[begin : begin + _SHOWN])
    before = lead + shown[: column - 1 - begin]
    marked = shown[column - 1 - begin : column - 1 - begin + width]
    carets = "^" * max(1, sum(map(_columns, marked)))
    return f"    {lead}{shown}\n    {' ' * sum(map(_columns, before))}{carets}"


def nearest(word: str, known: Iterable[str]) -> str:
    """'; did you mean "x"?' for the known word that is most like it, or nothing."""
    by_key = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(word.casefold(), list(by_key), 1, 0.6)
    return f'; did you mean "{by_key[near[0]]}"?' if near else ""


def one_of(words: Iterable[str]) -> str:
    """'"a", "b" or "c"'."""
    quoted = [f'"{word}"' for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) == "Cf":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
