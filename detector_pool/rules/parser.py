"""Rules out of text: recursive descent, one function for one thing that can be said.

    rule      = NAME ":" step { "then" step "within" time } { schedule | "score" "above" number }
    step      = condition [ "for" time ]
    condition = count things where | things where | things "crosses" line [way] [ "per" time ]
              | things ("enters" | "leaves") zones | things ("faster" | "slower") "than" number unit where
              | things "left" where | things "falls" where | things "fills" "more than" n "%" "of" zones
    things    = class { "or" class }            where    = "in" zones | "outside" zones | "anywhere" | nothing
    count     = "more than" n | "at least" n | "fewer than" n | "at most" n | "exactly" n | n | "no"
    schedule  = "on" days | "between" time-of-day "and" time-of-day

Which names exist is not checked here (`check`). Every error points at its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from detector_pool.rules.cursor import Cursor, told
from detector_pool.rules.lexer import Kind, Token, lines_of, statements
from detector_pool.rules.problem import nearest, problem
from detector_pool.rules.terms import (
    MAX_BYTES,
    MAX_LIST,
    MAX_RATE,
    MAX_RULES,
    MAX_STEPS,
    Condition,
    Count,
    Crossing,
    Direction,
    Fall,
    Filling,
    Left,
    Passage,
    Presence,
    Rule,
    Schedule,
    Speed,
    Step,
    Subject,
    Than,
    Where,
)  # fmt: skip
from detector_pool.rules.vocabulary import CLASSES, SAME, class_of
from mesh.errors import InvalidArgument

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_OF = {name: number for names in (DAYS, _LONG_DAYS) for number, name in enumerate(names)}
_DAY_SETS = {"weekdays": range(5), "weekend": (5, 6), "weekends": (5, 6)}
_COUNTS = {"more": Than.MORE, "at": Than.LEAST, "fewer": Than.FEWER, "less": Than.FEWER, "exactly": Than.EXACTLY}
_VERBS = (
    "in", "outside", "anywhere", "crosses", "enters", "leaves", "faster than", "slower than", "left", "falls", "fills",
)  # fmt: skip
_CLAUSES = ("for", "then", "within", "on", "between", "score above")
_KEYWORDS = frozenset(
    word for phrase in (*_VERBS, *_CLAUSES, "or", "and", "per", "forwards", "backwards", "cross", "crossing", "enter",
                        "leave", "fall", "fill", "above", "than", "daily", "everywhere") for word in phrase.split()
)  # fmt: skip
_ARTICLES = ("a", "an", "the", "any")


def parse(text: str) -> tuple[Rule, ...]:
    """The rules of a text. Raises RuleError with place, line and caret; InvalidArgument: too long, or none at all."""
    return tuple(read.rule for read in read_all(text))


@dataclass(frozen=True, slots=True)
class Mention:
    """The name of a zone, a line or a class where a rule uses it."""

    name: str
    kind: Literal["zone", "line", "class"]
    token: Token


@dataclass(frozen=True, slots=True)
class Read:
    """A rule and the names in it."""

    rule: Rule
    mentions: tuple[Mention, ...]


def read_all(text: str) -> list[Read]:
    """As `parse`, with the places of names, for whoever knows which there are."""
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise InvalidArgument("rules", f"are longer than {MAX_BYTES >> 10} KiB", "Take fewer or shorter ones.")
    lines = lines_of(text)
    rules: list[Read] = []
    names: dict[str, int] = {}
    for statement in statements(lines):
        if len(rules) == MAX_RULES:
            why = f"this is rule {MAX_RULES + 1}; one inspection has at most {MAX_RULES}"
            raise problem(statement.line, statement.column, len(statement.name), lines[statement.line - 1], why)
        first = names.setdefault(statement.name.casefold(), statement.line)
        if first != statement.line:
            why = f"there is a rule of that name in line {first}"
            raise problem(statement.line, statement.column, len(statement.name), lines[statement.line - 1], why)
        parser = _Parser(statement, lines)
        rules.append(Read(parser.rule(), tuple(parser.mentions)))
    if not rules:
        raise InvalidArgument("rules", "are empty", 'Write one a line, such as `intruder: person in "yard" for 2 s`.')
    return rules


@dataclass(slots=True)
class _Parser(Cursor):
    """One rule under way."""

    mentions: list[Mention] = field(default_factory=list)

    def rule(self) -> Rule:
        """The whole of it."""
        steps = [self._step(is_first=True)]
        while self.skip("then"):
            if len(steps) == MAX_STEPS:
                raise self.wrong(f"a rule has at most {MAX_STEPS} steps", self.previous)
            steps.append(self._step(is_first=False))
        schedule, score_above = self._clauses(steps[-1])
        return Rule(self.statement.name, tuple(steps), schedule, score_above)

    # Steps and clauses

    def _step(self, *, is_first: bool) -> Step:
        begin = self.now
        condition = self._condition()
        for_ns = within_ns = 0
        while word := self.skip("for", "within"):
            token = self.previous
            if word == "for" and not for_ns:
                if isinstance(condition, (Crossing, Passage)):
                    raise self.wrong("crossing, entering and leaving take no time: leave this out", token)
                for_ns = self.duration()
            elif word == "within" and not within_ns and not is_first:
                within_ns = self.duration()
            elif word == "within" and is_first:
                raise self.wrong('"within" stands behind the second condition: A then B within 5 s', token)
            else:
                raise self.wrong(f'"{word}" stands here for the second time', token)
        if not is_first and not within_ns:
            raise self.wrong('behind "then" and its condition, say how soon: "within 10 s"', self.now)
        if isinstance(condition, Presence) and condition.count and condition.count.holds_of_none and not for_ns:
            why = f'"{condition.count.than.value}" holds of an empty picture: say for how long, such as "for 10 min"'
            raise self.wrong(why, begin)
        return Step(condition, for_ns, within_ns)

    def _clauses(self, last: Step) -> tuple[Schedule | None, float]:
        days: tuple[int, ...] | None = None
        span: tuple[int, int] | None = None
        score: float | None = None
        while self.now.kind is not Kind.END:
            token = self.now
            word = self.skip("on", "daily", "between", "score")
            if not word:
                raise self.unexpected(self._what_may_follow(last, days, span, score))
            if word in ("on", "daily") and days is None:
                days = () if word == "daily" else self._days()
            elif word == "between" and span is None:
                span = self._span()
            elif word == "score" and score is None:
                self.need("above")
                score = self.score()
            else:
                raise self.wrong(f'"{word}" stands here for the second time', token)
        schedule = None if days is None and span is None else Schedule(days or (), *(span or (0, 0)))
        return None if schedule == Schedule() else schedule, score or 0.0

    def _what_may_follow(self, last: Step, days: object, span: object, score: object) -> list[str]:
        done = {"on": days, "between": span, "score above": score, "for": last.for_ns or None,
                "within": last.within_ns or None}  # fmt: skip
        if any(one is not None for one in (days, span, score)):
            done |= {"for": 1, "then": 1, "within": 1}
        follows = [one for one in _CLAUSES if done.get(one) is None]
        is_bare = isinstance(last.condition, Presence) and last.condition.where == Where() and "then" in follows
        return [*_VERBS, *follows] if is_bare and not last.for_ns else follows

    def _days(self) -> tuple[int, ...]:
        found: set[int] = set()
        while True:
            word = self.now.word
            if word in _DAY_SETS:
                self.at += 1
                found.update(_DAY_SETS[word])
            else:
                first = last = self._day()
                if self.skip("-", "to"):
                    last = self._day()
                found.update((first + step) % 7 for step in range((last - first) % 7 + 1))
            if not self.skip(",", "and", "or"):
                return tuple(sorted(found)) if len(found) < 7 else ()

    def _day(self) -> int:
        token = self.now
        if (day := _DAY_OF.get(token.word.removesuffix("s") if token.word not in _DAY_OF else token.word)) is None:
            raise self.unexpected([*DAYS, *_DAY_SETS], "a day")
        self.at += 1
        return day

    def _span(self) -> tuple[int, int]:
        begin = self.time_of_day()
        self.need("and")
        token = self.now
        end = self.time_of_day()
        if begin == end and begin != 0:
            raise self.wrong("this is when it begins, too: leave the times out for the whole day", token)
        return begin, end

    # Conditions

    def _condition(self) -> Condition:
        count = self._count()
        subject = self._subject(counted=count is not None)
        if self.skip("crosses", "cross", "crossing"):
            return self._crossing(subject, count)
        if count is None and (word := self.skip("enters", "enter", "leaves", "leave")):
            return Passage(subject, self._zones(), word.startswith("enter"))
        if count is None and (word := self.skip("faster", "slower")):
            self.need("than")
            limit, unit = self.speed(), self.unit()
            return Speed(subject, limit, unit, word == "faster", self._where())
        if count is None and self.skip("left"):
            return Left(subject, self._where())
        if count is None and self.skip("falls", "fall"):
            return Fall(subject, self._where())
        if count is None and self.skip("fills", "fill"):
            return Filling(subject, self.percent(), self._zones())
        if count is not None and self.now.word in ("enters", "leaves", "faster", "slower", "left", "falls", "fills"):
            why = f'"{self.now.text}" is looked at for each by itself: leave out how many'
            raise self.wrong(why, self.now)
        return Presence(subject, self._where(), count)

    def _crossing(self, subject: Subject, count: Count | None) -> Crossing:
        line = self._name(is_line=True)
        way = self.skip("forwards", "forward", "backwards", "backward")
        direction = Direction.EITHER if not way else Direction[f"{way.removesuffix('s').upper()}S"]
        if count is None:
            return Crossing(subject, line, direction)
        if not self.skip("per", "in", "every"):
            raise self.unexpected(["per"], 'how many in what time, such as "per 1 min"')
        token = self.previous
        per_ns = self.duration(may_be_one=True)
        if count.number > MAX_RATE:
            raise self.wrong(f"at most {MAX_RATE} crossings are counted", token)
        if count.holds_of_none:
            raise self.wrong('a rate is told when it is reached: take "more than" or "at least"', token)
        return Crossing(subject, line, direction, count, per_ns)

    def _count(self) -> Count | None:
        token = self.now
        if self.skip("nobody"):
            self.at -= 1  # the word names the things as well
            return Count(Than.NONE)
        if self.skip("no"):
            return Count(Than.NONE)
        if token.kind is Kind.NUMBER:
            return Count(Than.EXACTLY, self.whole())
        word = self.skip(*_COUNTS)
        if not word:
            return None
        than = _COUNTS[word]
        if word == "at":
            than = Than.MOST if self.need("least", "most") == "most" else Than.LEAST
        elif word != "exactly":
            self.need("than")
        number = self.whole()
        if (than is Than.FEWER and number == 0) or (than is Than.LEAST and number == 0):
            raise self.wrong("nothing is fewer than 0, and everything is at least 0", self.previous)
        return Count(than, number)

    def _subject(self, *, counted: bool) -> Subject:
        classes = [self._class(counted)]
        while self.skip("or"):
            token = self.now
            if len(classes) == MAX_LIST:
                raise self.wrong(f"at most {MAX_LIST} classes in one condition", token)
            one = self._class(counted=False)
            if one not in classes:
                classes.append(one)
        return Subject(tuple(classes))

    def _class(self, counted: bool) -> str:
        if not counted:
            self.skip(*_ARTICLES)
        token = self.now
        name = self._class_name(counted)
        self.mentions.append(Mention(name, "class", token))
        return name

    def _class_name(self, counted: bool) -> str:
        if counted and self.skip("nobody"):
            return "person"
        token = self.now
        if token.kind is Kind.TEXT:
            self.at += 1
            return token.text
        if token.kind is Kind.WORD and token.word not in _KEYWORDS:
            following = self.tokens[self.at + 1]
            if following.kind is Kind.WORD and (found := class_of(f"{token.word} {following.word}")):
                self.at += 2
                return found
            if found := class_of(token.word):
                self.at += 1
                return found
            near = nearest(token.text, [*CLASSES, *SAME, *(_COUNTS if not counted else ()), "no", "nobody"])
            why = f'no class is called "{token.text}" (one of your own model stands in quotation marks){near}'
            raise self.wrong(why, token)
        raise self.wrong(f"expected a class such as person, car or object, not {told(token)}", token)

    # Places

    def _where(self) -> Where:
        if self.skip("anywhere", "everywhere"):
            return Where()
        if self.skip("in", "inside"):
            return Where() if self.skip("anywhere") else Where(self._zones())
        if self.skip("outside"):
            return Where(self._zones(), True)
        return Where()

    def _zones(self) -> tuple[str, ...]:
        zones = [self._name(is_line=False)]
        while self.now.word == "or" and self._is_name(self.tokens[self.at + 1]):
            self.at += 1
            if len(zones) == MAX_LIST:
                raise self.wrong(f"at most {MAX_LIST} zones in one condition", self.now)
            name = self._name(is_line=False)
            if name not in zones:
                zones.append(name)
        return tuple(zones)

    def _name(self, *, is_line: bool) -> str:
        token = self.now
        if not self._is_name(token):
            kind = "line" if is_line else "zone"
            raise self.wrong(f"expected the name of a {kind} in quotation marks, not {told(token)}", token)
        self.at += 1
        self.mentions.append(Mention(token.text, "line" if is_line else "zone", token))
        return token.text

    def _is_name(self, token: Token) -> bool:
        return token.kind is Kind.TEXT or (token.kind is Kind.WORD and token.word not in _KEYWORDS)
