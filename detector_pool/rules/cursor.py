"""A place in a rule's tokens: looking, going on, complaining; and the numbers with units that rules have.

No grammar: `parser` has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from detector_pool.rules.lexer import Kind, Statement, Token
from detector_pool.rules.problem import RuleError, nearest, one_of, problem
from detector_pool.rules.terms import MAX_COUNT, MAX_DURATION, MAX_SPEED, MILLISECOND, SECOND, Unit

_UNITS = {
    "ms": MILLISECOND, "millisecond": MILLISECOND, "milliseconds": MILLISECOND,
    "s": SECOND, "sec": SECOND, "second": SECOND, "seconds": SECOND,
    "min": 60 * SECOND, "minute": 60 * SECOND, "minutes": 60 * SECOND,
    "h": 3600 * SECOND, "hour": 3600 * SECOND, "hours": 3600 * SECOND,
}  # fmt: skip


@dataclass(slots=True)
class Cursor:
    """One rule's tokens and how far they were read."""

    statement: Statement
    lines: list[str]
    at: int = 0

    # Numbers

    def whole(self) -> int:
        """A whole number of things."""
        token = self.number("a number of things")
        if not token.text.isdigit() or int(token.text) > MAX_COUNT:
            raise self.wrong(f"expected a whole number up to {MAX_COUNT}", token)
        return int(token.text)

    def score(self) -> float:
        """A score."""
        token = self.number("a score from 0 to 1")
        if not 0.0 <= float(token.text) < 1.0:
            raise self.wrong("a score goes from 0 to 1", token)
        return float(token.text)

    def percent(self) -> float:
        """`more than 40 % of`."""
        self.need("more")
        self.need("than")
        token = self.number("a share in percent")
        if not 0.0 < float(token.text) < 100.0:
            raise self.wrong("a share is more than 0 % and less than 100 %", token)
        self.need("%", "percent")
        self.need("of")
        return float(token.text)

    def speed(self) -> float:
        """A speed without its unit."""
        token = self.number("a speed such as 1.5 body heights/s")
        if not 0.0 < float(token.text) <= MAX_SPEED:
            raise self.wrong(f"a speed is more than 0 and at most {MAX_SPEED:g}", token)
        return float(token.text)

    def unit(self) -> Unit:
        """The unit of a speed."""
        kind = self.skip("picture", "body")
        if not self.skip("heights", "height"):
            expected = ["heights"] if kind else ["picture heights/s", "body heights/s"]
            raise self.unexpected(expected, "" if kind else "the unit")
        if not self.skip("/", "per"):
            raise self.unexpected(["/s", "per second"])
        if not self.skip("s", "sec", "second"):
            raise self.unexpected(["s"], "seconds: speeds are heights/s")
        return Unit.BODY if kind == "body" else Unit.PICTURE

    def duration(self, *, may_be_one: bool = False) -> int:
        """A time in nanoseconds; `may_be_one`: "min" alone is one minute."""
        begin = self.now
        number = Fraction(1)
        if not (may_be_one and begin.word in _UNITS):
            number = Fraction(self.number("a time such as 5 s or 10 min").text)
        word = self.skip(*_UNITS)
        if not word:
            raise self.unexpected(["ms", "s", "min", "h"], "the unit of the time")
        exact = number * _UNITS[word]
        if exact.denominator != 1 or exact % MILLISECOND or not 0 < exact <= MAX_DURATION:
            raise self.wrong("a time is from 1 ms to 24 h, in whole milliseconds", begin)
        return int(exact)

    def number(self, what: str) -> Token:
        """A number; `what` says of what, for the message."""
        token = self.now
        if token.kind is not Kind.NUMBER or len(token.text) > 12:
            raise self.wrong(f"expected {what}, not {told(token)}", token)
        self.at += 1
        return token

    def time_of_day(self) -> int:
        """`22:00` as minutes from midnight."""
        token = self.now
        if token.kind is not Kind.TIME:
            raise self.wrong(f"expected a time of day such as 22:00, not {told(token)}", token)
        hours, minutes = token.text.split(":")
        minute = int(hours) * 60 + int(minutes) if len(token.text) <= 5 else -1
        if len(minutes) != 2 or int(minutes) > 59 or not 0 <= minute <= 24 * 60:
            raise self.wrong("a time of day goes from 00:00 to 24:00", token)
        self.at += 1
        return minute % (24 * 60)

    # Tokens

    @property
    def tokens(self) -> list[Token]:
        """All of them; the last one is END."""
        return self.statement.tokens

    @property
    def now(self) -> Token:
        """The token to read next."""
        return self.tokens[self.at]

    @property
    def previous(self) -> Token:
        """The token read last."""
        return self.tokens[self.at - 1]

    def skip(self, *words: str) -> str:
        """The word that stands here, if it is one of these, and goes on behind it; else nothing."""
        word = self.now.word
        if word and word in words:
            self.at += 1
            return word
        return ""

    def need(self, *words: str) -> str:
        """One of these words, which has to stand here."""
        found = self.skip(*words)
        if not found:
            raise self.unexpected(list(words))
        return found

    def unexpected(self, words: list[str], what: str = "") -> RuleError:
        """The error that says what was expected here."""
        token = self.now
        near = nearest(token.text, words) if token.kind is Kind.WORD else ""
        expected = f"{what} ({one_of(words)})" if what else one_of(words)
        return self.wrong(f"expected {expected}, not {told(token)}{near}", token)

    def wrong(self, why: str, token: Token) -> RuleError:
        """The error for a token."""
        return problem(token.line, token.column, token.width, self.lines[token.line - 1], why)


def told(token: Token) -> str:
    """A token in a message."""
    return "the end of the rule" if token.kind is Kind.END else f'"{token.text}"'
