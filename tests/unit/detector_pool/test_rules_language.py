"""The language of rules: what it reads, how it says what is wrong, and that it reads what it prints."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector_pool.rules import RuleError, check, parse, printed
from detector_pool.rules.terms import (
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
    Unit,
    Where,
)
from mesh.errors import InvalidArgument

SECOND = 1_000_000_000
PERSON = Subject(("person",))


def only(text: str) -> Rule:
    (rule,) = parse(text)
    return rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('intruder: person in "yard" for 2 s between 22:00 and 06:00',
         Rule("intruder", (Step(Presence(PERSON, Where(("yard",))), 2 * SECOND),), Schedule((), 1320, 360))),
        ('wrong way: person crosses "gate" backwards',
         Rule("wrong way", (Step(Crossing(PERSON, "gate", Direction.BACKWARDS)),))),
        ('crowd: more than 8 people in platform for 5s',
         Rule("crowd", (Step(Presence(PERSON, Where(("platform",)), Count(Than.MORE, 8)), 5 * SECOND),))),
        ('running: person faster than 0.4 heights/s in "hall"',
         Rule("running", (Step(Speed(PERSON, 0.4, Unit.PICTURE, True, Where(("hall",)))),))),
        ('slow: a car slower than 0.2 body heights per second',
         Rule("slow", (Step(Speed(Subject(("car",)), 0.2, Unit.BODY, False)),))),
        ('left: object left in "hall" for 60 s',
         Rule("left", (Step(Left(Subject(("object",)), Where(("hall",))), 60 * SECOND),))),
        ('fall: somebody falls outside "mat"',
         Rule("fall", (Step(Fall(PERSON, Where(("mat",), True))),))),
        ('nobody: nobody in "desk" for 10 min on mon-fri between 08:00 and 18:00',
         Rule("nobody", (Step(Presence(PERSON, Where(("desk",)), Count(Than.NONE)), 600 * SECOND),),
              Schedule((0, 1, 2, 3, 4), 480, 1080))),
        ('fire: fire or smoke anywhere for 1 s score above 0.6',
         Rule("fire", (Step(Presence(Subject(("fire", "smoke"))), SECOND),), None, 0.6)),
        ('tailgating: person crosses "door" forwards\n  then person crosses "door" forwards within 2 s',
         Rule("tailgating", (Step(Crossing(PERSON, "door", Direction.FORWARDS)),
                             Step(Crossing(PERSON, "door", Direction.FORWARDS), 0, 2 * SECOND)))),
        ('rush: more than 20 person cross "door" per min',
         Rule("rush", (Step(Crossing(PERSON, "door", Direction.EITHER, Count(Than.MORE, 20), 60 * SECOND)),))),
        ('full: people fill more than 37.5 % of "a" or "b" for 3 s',
         Rule("full", (Step(Filling(PERSON, 37.5, ("a", "b")), 3 * SECOND),))),
        ('enters: person enters "a" or „Höf“ on sat, sun',
         Rule("enters", (Step(Passage(PERSON, ("a", "Höf"))),), Schedule((5, 6)))),
        ('入侵: "forklift truck" or cell phones in 院子  # a comment: with "marks',
         Rule("入侵", (Step(Presence(Subject(("forklift truck", "cell phone")), Where(("院子",)))),))),
    ],
)  # fmt: skip
def test_every_kind_of_rule_is_read(text: str, rule: Rule) -> None:
    assert only(text) == rule


@pytest.mark.parametrize(
    ("text", "line", "marked", "says"),
    [
        ('a: persn in "yard"', 1, "persn", 'did you mean "person"?'),
        ('a: person inn "yard"', 1, "inn", 'did you mean "in"?'),
        ('a: person in "yard" fro 2 s', 1, "fro", 'did you mean "for"?'),
        ('a: car\n\n# b\nb: person in "yrad"', 4, '"yrad"', 'did you mean "yard"?'),
        ('a: person in "gate"', 1, '"gate"', "is a line, not a zone"),
        ('a: person crosses "yard"', 1, '"yard"', "is a zone, not a line"),
        ('a: person in "yard', 1, '"yard', "quotation mark"),
        ("a: person in 5", 1, "5", "expected the name of a zone"),
        ('person in "yard"', 1, 'person in "yard"', "begins with its name and a colon"),
        (": person", 1, ":", "name of the rule is missing"),
        ('"a": person', 1, '"', "quotation marks"),
        ('a: person\nA: car', 2, "A", "rule of that name in line 1"),
        ('a: no person in "yard"', 1, "no", "say for how long"),
        ("a: more then 3 person", 1, "then", 'expected "than"'),
        ("a: more than 3.5 person", 1, "3.5", "whole number"),
        ("a: person faster than 3 km/h", 1, "km", '"picture heights/s" or "body heights/s"'),
        ("a: person faster than 0 heights/s", 1, "0", "more than 0"),
        ("a: person between 22:00 and 25:00", 1, "25:00", "from 00:00 to 24:00"),
        ("a: person between 10 and 12:00", 1, "10", "time of day"),
        ("a: person between 10:00 and 10:00", 1, "10:00", "leave the times out"),
        ("a: person on mun", 1, "mun", "a day"),
        ("a: person for 2 parsecs", 1, "parsecs", "unit of the time"),
        ("a: person for 0.0001 s", 1, "0.0001", "1 ms to 24 h"),
        ("a: person for 2 s for 3 s", 1, "for", "second time"),
        ("a: person then car", 1, "", "how soon"),
        ('a: person crosses "gate" for 2 s', 1, "for", "take no time"),
        ('a: more than 3 person cross "gate"', 1, "", "in what time"),
        ("a: more than 3 person falls", 1, "falls", "leave out how many"),
        ('a: person fills more than 120 % of "yard"', 1, "120", "less than 100 %"),
        (f"a: more than {'9' * 17} person", 1, "9" * 17, "at most 16 digits"),
        ("a: person & car", 1, "&", "no meaning"),
        ("a: person score above 1", 1, "1", "from 0 to 1"),
        ("a:", 1, "", "expected a class"),
    ],
)  # fmt: skip
def test_a_mistake_is_shown_where_it_is(text: str, line: int, marked: str, says: str) -> None:
    with pytest.raises(RuleError) as caught:
        check(text, ["yard"], ["gate"])
    error = caught.value
    why, shown, carets = str(error).split("\n")
    assert error.line == line
    assert why.startswith(f"rules, line {line}, column {error.column}: ")
    assert says in why
    assert shown[4:] == text.splitlines()[line - 1]
    assert shown[carets.index("^") :][: carets.count("^")] == marked
    assert carets.index("^") == 3 + error.column


def test_the_caret_stands_under_the_mistake_after_wide_letters_and_in_long_lines() -> None:
    with pytest.raises(RuleError) as caught:
        parse("入侵: persn")
    assert str(caught.value).split("\n")[2] == "    " + " " * 6 + "^" * 5
    with pytest.raises(RuleError) as caught:
        parse("a: person in " + " or ".join(f'"zone {number}"' for number in range(8)) + " betwen 2:00 and 3:00")
    _, shown, carets = str(caught.value).split("\n")
    assert len(shown) < 110
    assert shown[carets.index("^") :].startswith("betwen")


def test_rules_are_bounded() -> None:
    with pytest.raises(RuleError, match="at most 100 letters") as caught:
        parse(f"a: {'x' * 10_000}")
    assert len(str(caught.value)) < 400
    assert len(parse("\n".join(f"r{number}: person" for number in range(64)))) == 64
    for text in ("\n".join(f"r{number}: person" for number in range(65)), "# " + "x" * (64 << 10), "", "# nothing"):
        with pytest.raises(InvalidArgument):
            parse(text)


def test_classes_of_the_sources_are_checked_if_they_are_known() -> None:
    check('a: "forklift" in "yard"', ["yard"], [], ["forklift"])
    check("a: object", [], [], [])
    with pytest.raises(RuleError, match="no detector here finds"):
        check("a: person", [], [], ["car"])


def test_anything_at_all_is_read_or_refused_with_a_place() -> None:
    text = 'a: person no more than 3 in "y" for 2 s then within on mon - between 22:00 and crosses / heights faster . %'
    words = [*text.split(), "'", '"', "\n", ":", "#", "\\"]

    @given(st.lists(st.sampled_from(words), max_size=14))
    @settings(max_examples=150, deadline=None)
    def tried(chosen: list[str]) -> None:
        try:
            rules = parse(" ".join(chosen))
        except InvalidArgument:
            return
        assert parse(printed(rules)) == rules

    tried()


# What the printer prints is read back as the same rules.

letters = st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])
names = st.text(letters, min_size=1, max_size=12).filter(lambda text: bool(text.strip()))
zones = st.lists(names, min_size=1, max_size=3, unique=True).map(tuple)
places = st.builds(Where, zones, st.booleans()) | st.just(Where())
classes = st.sampled_from(["person", "car", "traffic light", "object", "forklift truck", 'a "b', "People"])
subjects = st.lists(classes, min_size=1, max_size=3, unique=True).map(lambda some: Subject(tuple(some)))
times = st.integers(1, 24 * 3600 * 1000).map(lambda ms: ms * 1_000_000)
counts = st.one_of(
    st.builds(Count, st.sampled_from([Than.MORE, Than.MOST, Than.EXACTLY]), st.integers(0, 1000)),
    st.builds(Count, st.sampled_from([Than.LEAST, Than.FEWER]), st.integers(1, 1000)),
    st.just(Count(Than.NONE)),
)
rates = counts.filter(lambda count: not count.holds_of_none)
speeds = st.integers(1, 100_000).map(lambda number: number / 1000)
lasting = st.one_of(
    st.builds(Presence, subjects, places),
    st.builds(Presence, subjects, places, counts),
    st.builds(Speed, subjects, speeds, st.sampled_from(Unit), st.booleans(), places),
    st.builds(Left, subjects, places),
    st.builds(Fall, subjects, places),
    st.builds(Filling, subjects, st.integers(1, 999).map(lambda number: number / 10), zones),
)
moments = st.one_of(
    st.builds(Crossing, subjects, names, st.sampled_from(Direction)),
    st.builds(Crossing, subjects, names, st.sampled_from(Direction), rates, times),
    st.builds(Passage, subjects, zones, st.booleans()),
)
first_steps = st.builds(Step, lasting, times) | st.builds(Step, moments)
next_steps = st.builds(Step, lasting, times, times) | st.builds(Step, moments, st.just(0), times)
schedules = st.builds(
    lambda days, span: Schedule(tuple(sorted(days)), *span),
    st.sets(st.integers(0, 6), min_size=1, max_size=6),
    st.tuples(st.integers(0, 1439), st.integers(0, 1439)).filter(lambda span: span[0] != span[1]) | st.just((0, 0)),
)
name_letters = st.characters(exclude_characters="\"'“„«‹»”›:#", exclude_categories=["C", "Z"])
rule_names = st.lists(st.text(name_letters, min_size=1, max_size=6), min_size=1, max_size=3).map(" ".join)
all_rules = st.builds(
    lambda name, first, others, schedule, score: Rule(name, (first, *others), schedule, score),
    rule_names,
    first_steps,
    st.lists(next_steps, max_size=3),
    st.none() | schedules,
    st.just(0.0) | st.integers(1, 999).map(lambda number: number / 1000),
)


@given(st.lists(all_rules, min_size=1, max_size=4, unique_by=lambda rule: rule.name.casefold()))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_printed_rules_are_read_back_as_they_were(rules: list[Rule]) -> None:
    text = printed(rules)
    assert parse(text) == tuple(rules)
    assert printed(parse(text)) == text
