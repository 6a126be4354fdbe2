"""What the adapters of the store share: bodies as text, what indexes hold, conditions in one form, page tokens.

The values of indexes are what SQLite's `json_extract` gives: a truth value is a number, a list or table its JSON text,
what is missing is null. An adapter that computes them itself gets the same answers by `index_value`. What does not
belong here: SQL, or the filters of MongoDB.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mesh.errors import AlreadyExists, Conflict, InvalidArgument
from mesh.store_port import MAX_DOCUMENT_BYTES, MAX_PAGE, AnyOf, Between, Body, Holds, Scalar, Where

Value = str | int | float | None

MAX_CONDITION_WORDS = 64
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_FIELD = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){0,4}")
_LIST = re.compile(r"(?P<field>[^ \[\]]+)\[\](?: by (?P<by>[^ \[\]]+))?")
_PAIR = re.compile(r"(?P<field>[^ \[\]]+) by (?P<by>[^ \[\]]+)")
_LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class ListIndex:
    """An index on the words of a list: "words[]", or "words[] by started_ns" where they are read in that order."""

    field: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class PairIndex:
    """An index on a field whose documents are mostly read in the order of another: "camera by started_ns"."""

    field: str
    by: str


@dataclass(frozen=True, slots=True)
class Indexes:
    """The declared indexes of a collection. The fields of pairs are among the fields."""

    fields: frozenset[str] = frozenset()
    lists: frozenset[ListIndex] = frozenset()
    pairs: frozenset[PairIndex] = frozenset()

    @property
    def single_fields(self) -> list[str]:
        """Those that need an index of their own, sorted: one of a pair serves its first field as well."""
        return sorted(self.fields - {pair.field for pair in self.pairs})

    def __or__(self, other: Indexes) -> Indexes:
        return Indexes(self.fields | other.fields, self.lists | other.lists, self.pairs | other.pairs)

    def __le__(self, other: Indexes) -> bool:
        return self.fields <= other.fields and self.lists <= other.lists and self.pairs <= other.pairs

    def texts(self) -> list[str]:
        """As they are declared, sorted."""
        lists = [f"{one.field}[] by {one.by}" if one.by else f"{one.field}[]" for one in self.lists]
        return sorted([*self.fields, *lists, *(f"{pair.field} by {pair.by}" for pair in self.pairs)])


def declared(name: str, indexes: Iterable[str]) -> Indexes:
    """The indexes of a declaration. Raises InvalidArgument: an ill-formed name or field."""
    fields: set[str] = set()
    lists: set[ListIndex] = set()
    pairs: set[PairIndex] = set()
    for one in indexes:
        found = _LIST.fullmatch(one)
        if pair := _PAIR.fullmatch(one):
            pairs.add(PairIndex(pair["field"], pair["by"]))
            fields |= {pair["field"], pair["by"]}
        elif found is None:
            fields.add(one)
        else:
            lists.add(ListIndex(found["field"], found["by"] or ""))
            fields |= {found["by"]} if found["by"] else set()
    named = [*fields, *(one.field for one in lists)]
    if not _NAME.fullmatch(name) or not all(_FIELD.fullmatch(one) for one in named):
        raise InvalidArgument(f"collection {name!r}", "its name or one of its fields is not of [a-z0-9_.]")
    return Indexes(frozenset(fields), frozenset(lists), frozenset(pairs))


def encode_body(name: str, document_id: str, body: Body) -> str:
    """The body as JSON text. Raises InvalidArgument: not JSON, or larger than 4 MiB."""
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"{name} {document_id!r}", f"is not JSON ({error})") from None
    if size > MAX_DOCUMENT_BYTES:
        raise InvalidArgument(f"{name} {document_id!r}", f"is larger than {MAX_DOCUMENT_BYTES} bytes")
    return text


def index_value(body: Body, path: str) -> Value:
    """What an index on `path` holds for a body that was read from its text."""
    value: Any = body
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return comparable(value)


def index_words(body: Body, path: str) -> list[str]:
    """What a list index on `path` holds: the distinct texts of the list, sorted."""
    value: Any = body
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return sorted({one for one in value if isinstance(one, str)}) if isinstance(value, list) else []


def comparable(value: Scalar) -> Value:
    """A value as indexes hold it: truth values are 1 and 0, whole numbers beyond 64 bits floating. No NaN."""
    if isinstance(value, int):
        if -(1 << 63) <= value < 1 << 63:
            return int(value)
        try:
            return float(value)
        except OverflowError:
            return math.copysign(math.inf, value)
    if isinstance(value, float) and math.isnan(value):
        raise InvalidArgument("condition", "is not a number")
    return value


@dataclass(frozen=True, slots=True)
class Range:
    """A side may be open (None); values of another kind than the bounds (text, number) do not match."""

    field: str
    low: Value
    high: Value


@dataclass(frozen=True, slots=True)
class Among:
    """One of these values; `or_missing`: or none at all."""

    field: str
    values: tuple[Value, ...]
    or_missing: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """The list holds all of these words, and for each prefix a word that begins with it."""

    index: ListIndex
    words: tuple[str, ...]
    prefixes: tuple[str, ...]


Condition = Range | Among | Words


def conditions_of(name: str, where: Where | None, indexes: Indexes) -> list[Condition]:
    """The conditions in one form. Raises InvalidArgument: an undeclared field, too many words."""
    return [_condition(name, field, condition, indexes) for field, condition in (where or {}).items()]


def check_field(name: str, field: str, indexes: Indexes) -> str:
    """The field. Raises InvalidArgument if it is not declared."""
    if field not in indexes.fields:
        raise InvalidArgument(f"field {field[:60]!r}", f"is not an index of {name}")
    return field


def check_limit(limit: int) -> int:
    """The limit of a page. Raises InvalidArgument."""
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidArgument(f"page size {limit}", f"is not between 1 and {MAX_PAGE}")
    return limit


def _condition(name: str, field: str, condition: Scalar | Between | AnyOf | Holds, indexes: Indexes) -> Condition:
    if isinstance(condition, Holds):
        found = sorted((one for one in indexes.lists if one.field == field), key=lambda one: one.by, reverse=True)
        if not found:
            raise InvalidArgument(f"field {field[:60]!r}", f"is not a list index of {name}")
        words, prefixes = tuple(dict.fromkeys(condition.all)), tuple(dict.fromkeys(condition.prefixes))
        if len(words) + len(prefixes) > MAX_CONDITION_WORDS:
            raise InvalidArgument("search", f"has more than {MAX_CONDITION_WORDS} words")
        if "" in prefixes:
            raise InvalidArgument("search", "has an empty prefix")
        return Words(found[0], words, prefixes)
    check_field(name, field, indexes)
    if isinstance(condition, Between):
        return Range(field, comparable(condition.low), comparable(condition.high))
    values = condition.values if isinstance(condition, AnyOf) else [condition]
    present = tuple(comparable(value) for value in values if value is not None)
    return Among(field, present, or_missing=len(present) < len(values))


def end_of_prefix(prefix: str) -> str:
    """What lies above every word with this prefix."""
    return prefix + _LAST_CHARACTER


def encode_token(order: str, value: Value, document_id: str) -> str:
    """A page token: the last value and id of a page, and the order it was made for."""
    text = json.dumps([order, value, document_id])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_token(token: str, order: str) -> tuple[Value, str]:
    """Value and id of a token. Raises InvalidArgument: not one of this order, or no token at all."""
    try:
        made_for, value, document_id = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        well_formed = made_for == order and isinstance(document_id, str) and not isinstance(value, list | dict)
    except (ValueError, TypeError, RecursionError):
        well_formed = False
    if not well_formed:
        raise InvalidArgument("page token", "is not one of this query", "Begin again without it.")
    return comparable(value), document_id


def exists_already(name: str, document_id: str) -> AlreadyExists:
    """The error of an id that is taken."""
    return AlreadyExists(f"{name} {document_id!r}", "exists already")


def conflict(name: str, document_id: str, version: int, expected: int) -> Conflict:
    """The error of a version that is not the expected one."""
    return Conflict(f"{name} {document_id!r}", f"is at version {version}, not {expected}", "Read it again and retry.")


def position(order: str, page_token: str) -> tuple[bool, str, tuple[Value, str] | None]:
    """Of an order and a token: whether descending, by which field ("" for ids), after which value and id."""
    return order.startswith("-"), order.removeprefix("-"), decode_token(page_token, order) if page_token else None
