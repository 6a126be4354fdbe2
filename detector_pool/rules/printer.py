"""Rules as text in normal form: what the parser reads back as the same rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from detector_pool.rules.parser import DAYS
from detector_pool.rules.terms import (
    MILLISECOND,
    SECOND,
    Condition,
    Count,
    Crossing,
    Fall,
    Filling,
    Left,
    Passage,
    Presence,
    Rule,
    Schedule,
    Speed,
    Subject,
    Than,
    Where,
)  # fmt: skip
from detector_pool.rules.vocabulary import class_of

_UNITS = ((3600 * SECOND, "h"), (60 * SECOND, "min"), (SECOND, "s"), (MILLISECOND, "ms"))


def printed(rules: Iterable[Rule]) -> str:
    """The rules, one in a line."""
    return "".join(f"{rule.name}: {rule_text(rule)}\n" for rule in rules)


def rule_text(rule: Rule) -> str:
    """A rule without its name."""
    parts = []
    for number, step in enumerate(rule.steps):
        parts += ["then"] * bool(number) + [condition_text(step.condition)]
        parts += [f"for {duration(step.for_ns)}"] * bool(step.for_ns)
        parts += [f"within {duration(step.within_ns)}"] * bool(step.within_ns)
    parts += [schedule_text(rule.schedule)] * bool(rule.schedule)
    parts += [f"score above {decimal(rule.score_above)}"] * bool(rule.score_above)
    return " ".join(parts)


def condition_text(condition: Condition) -> str:
    """What has to be the case."""
    things = subject_text(condition.subject)
    match condition:
        case Presence(_, where, count):
            return joined(count_text(count), things, where_text(where))
        case Crossing(_, line, direction, count, per_ns):
            verb = "cross" if count else "crosses"
            rate = f"per {duration(per_ns)}" if per_ns else ""
            return joined(count_text(count), things, verb, quoted(line), direction.value, rate)
        case Passage(_, zones, is_entering):
            return joined(things, "enters" if is_entering else "leaves", names(zones))
        case Speed(_, limit, unit, is_faster, where):
            than = "faster than" if is_faster else "slower than"
            return joined(things, than, decimal(limit), unit.value, where_text(where))
        case Left(_, where):
            return joined(things, "left", where_text(where))
        case Fall(_, where):
            return joined(things, "falls", where_text(where))
        case Filling(_, percent, zones):
            return joined(things, "fills more than", decimal(percent), "% of", names(zones))


def subject_text(subject: Subject) -> str:
    """Classes, those that are not ordinary ones in quotation marks."""
    return " or ".join(one if class_of(one) == one else quoted(one) for one in subject.classes)


def count_text(count: Count | None) -> str:
    """How many: `more than 8`; nothing for no count."""
    if count is None:
        return ""
    return count.than.value if count.than is Than.NONE else f"{count.than.value} {count.number}"


def where_text(where: Where) -> str:
    """Where: `in "yard" or "gate"`; nothing for anywhere."""
    if not where.zones:
        return ""
    return f"{'outside' if where.is_outside else 'in'} {names(where.zones)}"


def names(zones: Sequence[str]) -> str:
    """Zones in quotation marks."""
    return " or ".join(map(quoted, zones))


def schedule_text(schedule: Schedule | None) -> str:
    """When: `on mon-fri between 22:00 and 06:00`; nothing for always."""
    if schedule is None:
        return ""
    days = f"on {day_list(schedule.days)}" if schedule.days else ""
    if schedule.is_whole_day:
        return days
    return joined(days, f"between {clock(schedule.from_minute)} and {clock(schedule.to_minute)}")


def day_list(days: Sequence[int]) -> str:
    """Days: `mon-fri, sun`; three days in a row and more are a span."""
    spans: list[list[int]] = []
    for day in days:
        if spans and spans[-1][-1] == day - 1:
            spans[-1].append(day)
        else:
            spans.append([day])
    said = [f"{DAYS[s[0]]}-{DAYS[s[-1]]}" if len(s) > 2 else ", ".join(DAYS[day] for day in s) for s in spans]
    return ", ".join(said)


def clock(minute: int) -> str:
    """A time of day: `22:00`."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def duration(ns: int) -> str:
    """A time: `10 min`, in the largest unit that gives a whole number."""
    size, unit = next((size, unit) for size, unit in _UNITS if ns % size == 0)
    return f"{ns // size} {unit}"


def decimal(number: float) -> str:
    """The shortest decimal number that is read back as this one, without an exponent."""
    return f"{number:.12f}".rstrip("0").rstrip(".")


def quoted(name: str) -> str:
    """In quotation marks, those inside it marked with a backslash."""
    return '"' + "".join(f"\\{one}" if one in '"\\”“' else one for one in name) + '"'


def joined(*parts: str) -> str:
    """The parts that are not empty, with a space between two."""
    return " ".join(filter(None, parts))
