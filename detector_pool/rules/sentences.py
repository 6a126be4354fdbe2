"""What an operator reads when a rule fires: what, where, since when, and what the rule asked for."""

from __future__ import annotations

from datetime import tzinfo

from detector_pool.rules import printer
from detector_pool.rules.conditions import needed_ns
from detector_pool.rules.schedule import local
from detector_pool.rules.terms import (
    Condition,
    Crossing,
    Direction,
    Fall,
    Filling,
    Left,
    Passage,
    Presence,
    Rule,
    Speed,
    Step,
    Than,
    Where,
)


def sentence(rule: Rule, since_utc_ns: int, zone: tzinfo) -> str:
    """`person in yard since 14:03:10, for 2 s, between 22:00 and 06:00`. Times are those of the site."""
    first = f"{local(since_utc_ns, zone):%H:%M:%S}"
    steps = [_step(step, first if number == 0 else "") for number, step in enumerate(rule.steps)]
    asked = [printer.schedule_text(rule.schedule)] * bool(rule.schedule)
    asked += [f"score above {printer.decimal(rule.score_above)}"] * bool(rule.score_above)
    return ", ".join([", then ".join(steps), *asked])


def _step(step: Step, since: str) -> str:
    condition = step.condition
    is_moment = isinstance(condition, Passage) or (isinstance(condition, Crossing) and condition.count is None)
    when = f"{'at' if is_moment else 'since'} {since}" if since else ""
    how_long = needed_ns(step)
    asked = [f"for {printer.duration(how_long)}"] * bool(how_long)
    asked += [f"within {printer.duration(step.within_ns)}"] * bool(step.within_ns)
    return ", ".join([printer.joined(_what(condition), when), *asked])


def _what(condition: Condition) -> str:
    things = " or ".join(condition.subject.classes)
    match condition:
        case Presence(_, where, count):
            number = printer.count_text(count) if count else ""
            return printer.joined(number, things, _place(where))
        case Crossing(_, line, direction, count, per_ns):
            way = "" if direction is Direction.EITHER else direction.value
            rate = f"in {printer.duration(per_ns)}" if per_ns else ""
            verb = "cross" if count and (count.than is not Than.NONE) else "crosses"
            return printer.joined(printer.count_text(count), things, verb, line, way, rate)
        case Passage(_, zones, is_entering):
            return printer.joined(things, "enters" if is_entering else "leaves", " or ".join(zones))
        case Speed(_, limit, unit, is_faster, where):
            than = "faster than" if is_faster else "slower than"
            return printer.joined(things, than, printer.decimal(limit), unit.value, _place(where))
        case Left(_, where):
            return printer.joined(things, "left", _place(where))
        case Fall(_, where):
            return printer.joined(things, "fell", _place(where))
        case Filling(_, percent, zones):
            return printer.joined(things, "fills more than", printer.decimal(percent), "% of", " or ".join(zones))


def _place(where: Where) -> str:
    if not where.zones:
        return ""
    return f"{'outside' if where.is_outside else 'in'} {' or '.join(where.zones)}"
