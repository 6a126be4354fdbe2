"""Text to rules with their tokens. Knows lines, names, quotation marks and numbers; no grammar.

A line `NAME: …` begins a rule, and a line without a name goes on with the rule above it. `#` begins a comment. Names of
zones, lines and unusual classes stand in quotation marks of any kind, with a backslash before a mark that is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from detector_pool.rules.problem import problem
from detector_pool.rules.terms import MAX_NAME

_CLOSING = {'"': '"”“', "“": "”“", "„": "“”", "«": "»", "»": "«", "‹": "›", "'": "'"}
_MARKS = {"/": "/", "%": "%", "-": "-", "–": "-", ",": ","}
_NUMBER = re.compile(r"[0-9]+(?::[0-9]+|\.[0-9]+)?")
MAX_TEXT = 100
_MAX_DIGITS = 16


class Kind(Enum):
    """What a token is. The value is its name in messages."""

    WORD = "a word"
    TEXT = "a name in quotation marks"
    NUMBER = "a number"
    TIME = "a time of day"
    MARK = "a mark"
    END = "the end of the rule"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a rule. `line` and `column` count from 1."""

    kind: Kind
    text: str
    """What it says: of a text without its quotation marks."""
    line: int
    column: int
    width: int

    @property
    def word(self) -> str:
        """A word in small letters, or a mark; empty for all others."""
        return self.text.casefold() if self.kind in (Kind.WORD, Kind.MARK) else ""


@dataclass(slots=True)
class Statement:
    """A rule's name and tokens; the last one is END."""

    name: str
    line: int
    column: int
    tokens: list[Token] = field(default_factory=list)


def lines_of(text: str) -> list[str]:
    """Its lines; other signs that some programs take for the end of a line are ordinary ones."""
    return re.split(r"\r\n|\n|\r", text)


def statements(lines: list[str]) -> Iterator[Statement]:
    """The rules of a text, line by line. Raises RuleError."""
    now: Statement | None = None
    for number, raw in enumerate(lines, 1):
        line = _without_comment(raw)
        if not line.strip():
            continue
        colon = _name_ends(line)
        if colon is not None:
            if now:
                yield _ended(now, lines)
            now = _named(line, number, colon)
        if now is None:
            column = len(line) - len(line.lstrip()) + 1
            why = 'a rule begins with its name and a colon, such as `intruder: person in "yard"`'
            raise problem(number, column, len(line.strip()), line, why)
        now.tokens += _tokens(line, number, (colon + 1) if colon is not None else 0)
    if now:
        yield _ended(now, lines)


def _ended(statement: Statement, lines: list[str]) -> Statement:
    """With a token behind the last one, for messages about what is missing there."""
    line = statement.tokens[-1].line if statement.tokens else statement.line
    column = len(_without_comment(lines[line - 1]).rstrip()) + 1
    statement.tokens.append(Token(Kind.END, "", line, column, 1))
    return statement


def _named(line: str, number: int, colon: int) -> Statement:
    before = line[:colon]
    name = " ".join(before.split())
    column = len(before) - len(before.lstrip()) + 1
    if not name:
        raise problem(number, colon + 1, 1, line, "the name of the rule is missing before the colon")
    for at, one in enumerate(before):
        if one in _CLOSING or not (one.isprintable() or one == "\t"):
            why = "the name of a rule has no quotation marks and no invisible characters"
            raise problem(number, at + 1, 1, line, why)
    if len(name) > MAX_NAME:
        raise problem(number, column, len(before.strip()), line, f"the name of a rule has at most {MAX_NAME} letters")
    return Statement(name, number, column)


def _without_comment(line: str) -> str:
    at = 0
    while at < len(line):
        if line[at] == "#":
            return line[:at]
        at = _behind_text(line, at) if _opens(line, at) else at + 1
    return line


def _name_ends(line: str) -> int | None:
    """Where the colon behind the name is; colons in texts and in times of day are none."""
    at = 0
    while at < len(line):
        if line[at] == ":" and not _is_in_time(line, at):
            return at
        at = _behind_text(line, at) if _opens(line, at) else at + 1
    return None


def _is_in_time(line: str, colon: int) -> bool:
    before, behind = line[max(0, colon - 1) : colon], line[colon + 1 : colon + 2]
    return _is_digit(before) and _is_digit(behind)


def _opens(line: str, at: int) -> bool:
    """Whether a text begins there. An apostrophe inside a word is a letter."""
    if line[at] not in _CLOSING:
        return False
    return line[at] != "'" or at == 0 or not line[at - 1].isalnum()


def _behind_text(line: str, at: int) -> int:
    """The place behind a text that begins at `at`; the end of the line if nothing closes it."""
    closing = _CLOSING[line[at]]
    at += 1
    while at < len(line) and line[at] not in closing:
        at += 2 if line[at] == "\\" else 1
    return min(at + 1, len(line))


def _tokens(line: str, number: int, at: int) -> Iterator[Token]:
    while at < len(line):
        one = line[at]
        begin = at
        if one.isspace():
            at += 1
            continue
        if _opens(line, at):
            at = _behind_text(line, at)
            yield Token(Kind.TEXT, _text(line, number, begin, at), number, begin + 1, at - begin)
            continue
        if number_like := _NUMBER.match(line, at):
            at = number_like.end()
            if at - begin > _MAX_DIGITS:
                raise problem(number, begin + 1, at - begin, line, f"a number has at most {_MAX_DIGITS} digits")
            kind = Kind.TIME if ":" in number_like[0] else Kind.NUMBER
            yield Token(kind, number_like[0], number, begin + 1, at - begin)
        elif one in _MARKS:
            at += 1
            yield Token(Kind.MARK, _MARKS[one], number, begin + 1, 1)
        elif _is_letter(one):
            while at < len(line) and (_is_letter(line[at]) or _is_digit(line[at])):
                at += 1
            if at - begin > MAX_TEXT:
                raise problem(number, begin + 1, at - begin, line, f"a word has at most {MAX_TEXT} letters")
            yield Token(Kind.WORD, line[begin:at], number, begin + 1, at - begin)
        elif one == ":":
            raise problem(number, at + 1, 1, line, "one colon too many: a rule has one, behind its name")
        else:
            raise problem(number, at + 1, 1, line, f"{one!r} has no meaning here")


def _text(line: str, number: int, begin: int, end: int) -> str:
    if end - begin < 2 or line[end - 1] not in _CLOSING[line[begin]]:
        raise problem(number, begin + 1, end - begin, line, "the quotation mark that closes this is missing")
    inner, at, said = line[begin + 1 : end - 1], 0, ""
    while at < len(inner):
        at += inner[at] == "\\" and at + 1 < len(inner)
        said += inner[at]
        at += 1
    why = _wrong_with(said)
    if why:
        raise problem(number, begin + 1, end - begin, line, why)
    return said


def _wrong_with(text: str) -> str:
    if not text.strip():
        return "there is nothing between the quotation marks"
    return f"a name has at most {MAX_TEXT} letters" if len(text) > MAX_TEXT else ""


def _is_digit(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_letter(one: str) -> bool:
    # Marks that change the letter before them belong to it (Devanagari, decomposed accents).
    return one.isalpha() or one in "_'’" or not (one.isspace() or one.isascii() or one in _CLOSING or one in _MARKS)
