"""Fields of `detector.toml`, read with their types, and errors that name the field and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from detector_pool.detector import LoadedModel
from mesh.errors import InvalidArgument


class Fields:
    """One table of `detector.toml`. Every field that was asked for is known; `done` refuses the others."""

    def __init__(self, model: str, table: Any, name: str = "") -> None:
        self._what = f"detector.toml of model {model}"
        self._name = name
        self._model = model
        self._known: set[str] = set()
        if not isinstance(table, Mapping):
            raise InvalidArgument(self._what, f"has {name} = {table!r:.60}", f"Write it as a table: [{name}].")
        self._table = table

    @classmethod
    def of(cls, model: LoadedModel) -> Fields:
        """All of a model's `detector.toml`; what every model has counts as known."""
        fields = cls(str(model.manifest["name"]), model.manifest)
        fields._known |= {"detector", "name", "version", "source", "licence", "license", "summary"}
        return fields

    def table(self, name: str) -> Fields:
        """A table inside; empty if there is none."""
        self._known.add(name)
        return Fields(self._model, self._table.get(name, {}), name)

    def has(self, name: str) -> bool:
        """Whether it is said."""
        self._known.add(name)
        return name in self._table

    def text(self, name: str, default: str | None = None, choices: Sequence[str] = ()) -> str:
        """A text; None as default: it must be said."""
        value = self._value(name, default)
        if not isinstance(value, str):
            raise self.refused(name, f"is {value!r:.60}", 'Write a text in "quotation marks".')
        if choices and value not in choices:
            near = difflib.get_close_matches(value, choices, 1)
            raise self.refused(
                name,
                f"is {value!r:.60}",
                (f"Did you mean {near[0]!r}? " if near else "") + f"One of: {', '.join(choices)}.",
            )
        return value

    def whole(self, name: str, default: int | None, low: int, high: int) -> int:
        """A whole number within bounds."""
        value = self._value(name, default)
        if type(value) is not int or not low <= value <= high:
            raise self.refused(name, f"is {value!r:.60}", f"Write a whole number from {low} to {high}.")
        return value

    def number(self, name: str, default: float | None, low: float, high: float) -> float:
        """A number within bounds."""
        value = self._value(name, default)
        if type(value) not in (int, float) or not low <= value <= high:
            raise self.refused(name, f"is {value!r:.60}", f"Write a number from {low:g} to {high:g}.")
        return float(value)

    def numbers(self, name: str, default: Sequence[float], counts: Sequence[int]) -> tuple[float, ...]:
        """Finite numbers, as many as one of `counts`."""
        value = self._value(name, list(default))
        is_good = isinstance(value, list) and len(value) in counts
        if not is_good or not all(type(one) in (int, float) and abs(one) < 1e9 for one in value):
            many = " or ".join(map(str, counts))
            raise self.refused(name, f"is {value!r:.60}", f"Write {many} numbers in square brackets.")
        return tuple(float(one) for one in value)

    def texts(self, name: str, default: Sequence[str] | None) -> tuple[str, ...]:
        """Texts."""
        value = self._value(name, None if default is None else list(default))
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.refused(name, f"is {value!r:.60}", 'Write texts in square brackets: ["person", "car"].')
        return tuple(value)

    def value(self, name: str) -> Any:
        """Whatever stands there; None if nothing."""
        self._known.add(name)
        return self._table.get(name)

    def done(self) -> None:
        """Raises InvalidArgument for a field that nobody asked for: a slip of the pen would go unseen."""
        for name in self._table:
            if name not in self._known:
                near = difflib.get_close_matches(name, self._known, 1)
                remedy = (f"Did you mean {near[0]}? " if near else "") + f"There are: {', '.join(sorted(self._known))}."
                where = f"in [{self._name}] " if self._name else ""
                raise InvalidArgument(self._what, f"has a field {where}that is not known: {name!r:.60}", remedy)

    def refused(self, name: str, reason: str, remedy: str) -> InvalidArgument:
        """An error about a field."""
        where = f"[{self._name}] {name}" if self._name else name
        return InvalidArgument(f"{where} in {self._what}", reason, remedy)

    def _value(self, name: str, default: Any) -> Any:
        self._known.add(name)
        if name in self._table:
            return self._table[name]
        if default is None:
            raise self.refused(name, "is missing", "Say it.")
        return default
