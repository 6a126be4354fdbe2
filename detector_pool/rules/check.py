"""Whether rules can be put into force: their text, and the zones, lines and classes that they name."""

from __future__ import annotations

from collections.abc import Collection

from detector_pool.rules.lexer import lines_of
from detector_pool.rules.parser import Mention, read_all
from detector_pool.rules.problem import RuleError, nearest, problem
from detector_pool.rules.terms import ANY_CLASS, Rule


def check(
    text: str,
    zone_names: Collection[str] | None = None,
    line_names: Collection[str] | None = None,
    classes: Collection[str] | None = None,
) -> tuple[Rule, ...]:
    """The rules of a text, if all names in it are known; None for a collection leaves that kind unchecked.

    Raises RuleError, an InvalidArgument, with line, column and a caret under the mistake.
    """
    reads = read_all(text)
    lines = lines_of(text)
    known = {"zone": zone_names, "line": line_names, "class": classes}
    for read in reads:
        for mention in read.mentions:
            names = known[mention.kind]
            if names is not None and mention.name not in names and mention.name != ANY_CLASS:
                raise _unknown(mention, names, known["line" if mention.kind == "zone" else "zone"] or (), lines)
    return tuple(read.rule for read in reads)


def names_used(text: str) -> tuple[set[str], set[str]]:
    """The zones and the lines that rules name. Raises RuleError."""
    mentions = [mention for read in read_all(text) for mention in read.mentions]
    return {one.name for one in mentions if one.kind == "zone"}, {one.name for one in mentions if one.kind == "line"}


def _unknown(mention: Mention, names: Collection[str], others: Collection[str], lines: list[str]) -> RuleError:
    token, kind = mention.token, mention.kind
    if kind != "class" and mention.name in others:
        other = "zone" if kind == "line" else "line"
        needs = "only lines are crossed" if kind == "line" else "a line can only be crossed"
        why = f'"{mention.name}" is a {other}, not a {kind}: {needs}'
    elif kind == "class":
        there_are = f"what is looked at finds {_listed(names)}" if names else "nothing that is looked at has classes"
        why = f'no detector here finds "{mention.name}"; {there_are}{nearest(mention.name, names)}'
    else:
        there_are = f"there {'is' if len(names) == 1 else 'are'} {_listed(names)}" if names else f"there is no {kind}"
        why = f'no {kind} is called "{mention.name}"; {there_are}{nearest(mention.name, names)}'
    return problem(token.line, token.column, token.width, lines[token.line - 1], why)


def _listed(names: Collection[str]) -> str:
    chosen = sorted(names)[:8]
    return ", ".join(f'"{name}"' for name in chosen) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
