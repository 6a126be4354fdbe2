"""Options of detectors: described once, checked alike wherever they come from.

OPTIONS = (Option("sensitivity", 0.5, "How little is enough.", low=0.0, high=1.0),)
values = checked("loitering", OPTIONS, {"sensitivity": 0.7})
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mesh.errors import InvalidArgument

MAX_OPTIONS_BYTES = 64 << 10
_KINDS: dict[type, str] = {
    bool: "yes or no", int: "whole number", float: "number", str: "text", list: "list of texts", dict: "table",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Option:
    """An option. Its type is that of its default: bool, int, float, str, list (of str) or dict."""

    name: str
    default: Any
    summary: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    names_models: bool = False
    """Its texts name detectors, and published models behind an @ ("objects@yolox-nano"): see `Setup.models`."""

    @property
    def kind(self) -> str:
        """Its type in words."""
        return _KINDS[type(self.default)]

    def problem(self, value: Any) -> str:
        """Why a value will not do, as a part of a sentence; empty if it will."""
        wanted = type(self.default)
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted or (wanted is list and not all(isinstance(one, str) for one in value)):
            return f"must be a {self.kind}, not {value!r:.60}"
        if wanted in (int, float):
            if value != value or value in (float("inf"), float("-inf")):
                return "must be finite"
            if self.low is not None and value < self.low:
                return f"must be at least {self.low:g}, not {value!r}"
            if self.high is not None and value > self.high:
                return f"must be at most {self.high:g}, not {value!r}"
        values = value if wanted is list else [value]
        if self.choices and any(one not in self.choices for one in values):
            return f"must be one of {', '.join(self.choices)}, not {value!r:.60}"
        return ""


NO_OPTIONS: tuple[Option, ...] = ()


def parsed(thing: str, document: str) -> dict[str, Any]:
    """Options as they stand in an inspection: a TOML document. Raises InvalidArgument."""
    if len(document.encode()) > MAX_OPTIONS_BYTES:
        raise InvalidArgument(f"options of {thing}", f"are longer than {MAX_OPTIONS_BYTES >> 10} KiB")
    try:
        return tomllib.loads(document)
    except tomllib.TOMLDecodeError as error:
        remedy = 'Write them as TOML, one `name = value` in a line; texts stand in "quotation marks".'
        raise InvalidArgument(f"options of {thing}", f"cannot be read: {error}", remedy) from None


def models_named(options: Sequence[Option], given: Mapping[str, Any]) -> tuple[str, ...]:
    """Models that options name behind detectors ("objects@yolox-nano"), each once."""
    lists = (given.get(option.name) for option in options if option.names_models)
    texts = (one for each in lists if isinstance(each, list) for one in each if isinstance(one, str))
    return tuple(dict.fromkeys(model for one in texts if (model := one.partition("@")[2])))


def checked(detector: str, options: Sequence[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """All options with their values, defaults included. Raises InvalidArgument naming the option and the remedy."""
    known = {option.name: option for option in options}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            there_are = f"There are: {', '.join(sorted(known))}." if known else "It has none."
            remedy = f"Did you mean {near[0]}? {there_are}" if near else there_are
            raise InvalidArgument(f"detector {detector}", f"has no option {name!r:.60}", remedy)
    values = {}
    for option in options:
        value = given.get(option.name, option.default)
        if problem := option.problem(value):
            raise InvalidArgument(f"option {option.name} of detector {detector}", problem, option.summary)
        values[option.name] = float(value) if type(option.default) is float else value
    return values
