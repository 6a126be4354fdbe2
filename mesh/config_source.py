"""Reads and writes trees of frozen dataclasses as TOML, environment and command-line texts. Knows no setting."""

from __future__ import annotations

import difflib
import json
import math
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from mesh.errors import InvalidArgument, NotFound

T = TypeVar("T")
Tree = dict[str, Any]
_ENVIRONMENT_PREFIX = "TRUEFRAME_"
_MAX_FILE_BYTES = 4 << 20


class _Text(str):
    """A value that came as text and has yet to be read as the type of its field."""

    __slots__ = ()


def merge_sources(root: type[Any], path: Path | None, overrides: Sequence[str], environ: Mapping[str, str]) -> Tree:
    """One tree out of file, environment and overrides, the later outranking the earlier."""
    tree = _read_toml(path) if path is not None else {}
    for name, value in sorted(environ.items()):
        if name.startswith(_ENVIRONMENT_PREFIX) and "__" in name:
            keys = name.removeprefix(_ENVIRONMENT_PREFIX).lower().split("__")
            _place(root, tree, keys, _Text(value), f"environment variable {name}")
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidArgument(f"--set {text!r}", "is not of the form section.key=value")
        _place(root, tree, key.strip().split("."), _Text(value), f"--set {key}")
    return tree


def decode_tree(kind: type[T], tree: Mapping[str, Any], where: str = "") -> T:
    """A dataclass out of a tree. Raises InvalidArgument naming the key."""
    known = _fields_of(kind)
    hints = typing.get_type_hints(kind)
    for key in tree:
        if key not in known:
            raise _unknown_key(_join(where, key), key, where, known)
    values: dict[str, Any] = {}
    for key, value in tree.items():
        name = _join(where, key)
        values[key] = _decode(hints[key], value, name)
        _check_bounds(values[key], known[key], name)
    return kind(**values)


def encode_toml(value: Any) -> str:
    """A dataclass as TOML. Fields that are None are left out."""
    return "\n".join(_encode_table(value, "")) + "\n"


def default_of(one: Field[Any]) -> Any:
    """The default of a field; MISSING if it has none."""
    return one.default_factory() if one.default_factory is not MISSING else one.default


def _read_toml(path: Path) -> Tree:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise NotFound(f"configuration file {path}", "does not exist") from None
    except OSError as error:
        raise InvalidArgument(f"configuration file {path}", f"cannot be read ({error.strerror})") from None
    if len(data) > _MAX_FILE_BYTES:
        raise InvalidArgument(f"configuration file {path}", f"is larger than {_MAX_FILE_BYTES} bytes")
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"configuration file {path}", f"is not TOML ({error})") from None


def _place(root: type[Any], tree: Tree, keys: list[str], value: _Text, origin: str) -> None:
    kind: Any = root
    for depth, key in enumerate(keys):
        where = ".".join(keys[:depth])
        if not is_dataclass(kind):
            raise InvalidArgument(origin, f"{where} has no keys of its own")
        if key not in _fields_of(kind):
            raise _unknown_key(origin, key, where, _fields_of(kind))
        kind = typing.get_type_hints(kind)[key]
        if depth == len(keys) - 1:
            if is_dataclass(kind):
                raise InvalidArgument(origin, f"{key} is a section; name a key in it: {', '.join(_fields_of(kind))}")
            tree[key] = value
        else:
            tree = tree.setdefault(key, {})
            if not isinstance(tree, dict):
                raise InvalidArgument(_join(where, key), "has to be a table")


def _decode(kind: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        inner = next(argument for argument in typing.get_args(kind) if argument is not type(None))
        return None if value == "" else _decode(inner, value, where)
    if isinstance(value, _Text) and kind is not str and kind is not Path:
        value = _read_text(kind, value, where)
    if is_dataclass(kind):
        return decode_tree(typing.cast("type[Any]", kind), _expect(value, dict, where, "a table"), where)
    if origin is tuple:
        return _decode_tuple(typing.get_args(kind), _expect(value, list, where, "a list"), where)
    if origin is not None and issubclass(origin, Mapping):
        table = _expect(value, dict, where, "a table")
        return {key: _decode(typing.get_args(kind)[1], item, _join(where, key)) for key, item in table.items()}
    return _decode_plain(kind, value, where)


def _decode_plain(kind: Any, value: Any, where: str) -> Any:
    if kind is Path:
        return Path(_expect(value, str, where, "a path")).expanduser()
    if kind is bool:
        return _expect(value, bool, where, "true or false")
    if isinstance(value, bool):
        raise InvalidArgument(where, f"has to be {_NAMES.get(kind, kind.__name__)}, not {str(value).lower()}")
    if kind is float:
        number = float(_expect(value, (int, float), where, "a number"))
        if not math.isfinite(number):
            raise InvalidArgument(where, "has to be a finite number")
        return number
    if kind is int:
        return _expect(value, int, where, "a whole number")
    return str(_expect(value, str, where, "a text"))


def _decode_tuple(arguments: tuple[Any, ...], items: list[Any], where: str) -> tuple[Any, ...]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_decode(arguments[0], item, f"{where}[{n}]") for n, item in enumerate(items))
    if len(items) != len(arguments):
        raise InvalidArgument(where, f"has to have {len(arguments)} items, not {len(items)}")
    return tuple(
        _decode(kind, item, f"{where}[{n}]") for n, (kind, item) in enumerate(zip(arguments, items, strict=True))
    )


_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _read_text(kind: Any, text: _Text, where: str) -> Any:
    if kind is bool and text.strip().lower() in _TRUTH:
        return _TRUTH[text.strip().lower()]
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        raise InvalidArgument(where, f"has to be {_NAMES.get(kind, 'a TOML value')}, not {str(text)[:80]!r}") from None


def _expect(value: Any, kind: Any, where: str, name: str) -> Any:
    if not isinstance(value, kind):
        raise InvalidArgument(where, f"has to be {name}, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    # Never the value of a table or list: a camera's source inside may hold a password.
    return f"a {type(value).__name__}" if isinstance(value, dict | list) else repr(value)[:80]


def _check_bounds(value: Any, one: Field[Any], where: str) -> None:
    low, high, choices = (one.metadata.get(name) for name in ("at_least", "at_most", "one_of"))
    if choices and value not in choices:
        nearest = _nearest(str(value), choices)
        raise InvalidArgument(where, f"has to be one of {', '.join(choices)}, not {value!r}", nearest)
    for number in _numbers(value):
        if (low is not None and number < low) or (high is not None and number > high):
            bounds = [f"at least {low:g}"] * (low is not None) + [f"at most {high:g}"] * (high is not None)
            raise InvalidArgument(where, f"has to be {' and '.join(bounds)}, not {number:g}")


def _numbers(value: Any) -> Iterable[float]:
    if isinstance(value, tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def _unknown_key(thing: str, key: str, where: str, known: Iterable[str]) -> InvalidArgument:
    place = f"section [{where}]" if where else "the configuration"
    return InvalidArgument(thing, f"{place} has no key {key!r}", _nearest(key, list(known)))


def _nearest(text: str, known: Sequence[str]) -> str:
    if near := difflib.get_close_matches(text, known, n=1, cutoff=0.5):
        return f"Did you mean {near[0]!r}?"
    return f"Known: {', '.join(known)}."


def _fields_of(kind: Any) -> dict[str, Field[Any]]:
    return {one.name: one for one in fields(kind)}


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _encode_table(value: Any, name: str) -> Iterable[str]:
    nested: list[str] = []
    for one in fields(value):
        item = getattr(value, one.name)
        key = _join(name, one.name)
        if item is None or item == ():
            continue
        if is_dataclass(item):
            nested += ["", f"[{key}]", *_encode_table(item, key)]
        elif isinstance(item, tuple) and is_dataclass(item[0]):
            for member in item:
                nested += ["", f"[[{key}]]", *_encode_table(member, key)]
        else:
            yield f"{one.name} = {_encode_value(item)}"
    yield from nested


def _encode_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | int):
        return repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_encode_value, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_encode_text(key)} = {_encode_value(item)}" for key, item in value.items()) + "}"
    return _encode_text(str(value))


def _encode_text(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL and for surrogate pairs, which ensure_ascii=False avoids.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
