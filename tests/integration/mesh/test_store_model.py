"""Random operations on SQLite, MongoDB and a dictionary give equal answers, pages included."""

from __future__ import annotations

import functools
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mesh.errors import AlreadyExists, Conflict, NotFound, TrueframeError
from mesh.store import AnyOf, Between, Collection, Document, Holds, SqliteStore
from mesh.store_mongodb import MongoStore

numbers = itertools.count()
words = st.sampled_from(["a", "ab", "abc", "b", "정", "정문", "Z"])
values = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 3), st.sampled_from([0.5, 1.0, 2**60 + 1, -(2**63), 2**70]), words,
    st.lists(st.integers(0, 1), max_size=1),
)  # fmt: skip
bodies = st.fixed_dictionaries(
    {"n": values}, optional={"deep": st.fixed_dictionaries({"t": values}), "words": st.lists(words, max_size=4)}
)
scalars = st.one_of(st.integers(-2, 3), st.sampled_from([0.5, 2**60 + 1, 2**70]), words)
conditions = st.one_of(
    values.filter(lambda one: not isinstance(one, list)),
    st.builds(Between, st.none() | scalars, st.none() | scalars),
    st.builds(AnyOf, st.lists(st.none() | scalars, max_size=3)),
)
searches = st.builds(Holds, st.lists(words, max_size=2), st.lists(words, max_size=2))
wheres = st.fixed_dictionaries({}, optional={"n": conditions, "deep.t": conditions, "words": searches})
ids = st.sampled_from([f"d{number}" for number in range(6)])
steps = st.one_of(
    st.tuples(st.just("put"), ids, bodies, st.sampled_from([None, 0, 1, 2, 3])),
    st.tuples(st.just("put"), ids, bodies, st.none()),
    st.tuples(st.just("delete"), ids, st.sampled_from([None, None, 0, 1, 2])),
    st.tuples(st.just("count"), wheres),
    st.tuples(st.just("pages"), wheres, st.sampled_from(["", "-", "n", "-n", "deep.t", "-deep.t"]), st.integers(1, 4)),
)


def value_of(body: dict[str, Any], path: str) -> Any:
    found: Any = body
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, list | dict):
        return json.dumps(found, separators=(",", ":"))
    return float(found) if isinstance(found, int) and abs(found) >= 2**64 else found


def rank(value: Any) -> tuple[Any, ...]:
    """What is missing, then numbers, then texts by their bytes."""
    return (0,) if value is None else (2, value.encode()) if isinstance(value, str) else (1, value)


def meets(body: dict[str, Any], path: str, condition: Any) -> bool:
    value = value_of(body, path)
    if isinstance(condition, Holds):
        held = [one for one in body.get(path, []) if isinstance(one, str)]
        return set(condition.all) <= set(held) and all(
            any(one.startswith(prefix) for one in held) for prefix in condition.prefixes
        )
    if isinstance(condition, Between):
        bounds = [bound for bound in (condition.low, condition.high) if bound is not None]
        if not bounds:
            return True
        if any(rank(bound)[0] != rank(value)[0] for bound in bounds):
            return False
        above = condition.low is None or rank(condition.low) <= rank(value)
        return above and (condition.high is None or rank(value) <= rank(condition.high))
    wanted = condition.values if isinstance(condition, AnyOf) else [condition]
    return any(rank(one) == rank(value) for one in wanted)


@dataclass
class Model:
    """What the port says, as a dictionary."""

    rows: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)

    def checked(self, one: str, expected: int | None) -> int:
        version = self.rows[one][0] if one in self.rows else 0
        if version and expected == 0:
            raise AlreadyExists("", "")
        if version and expected not in (None, version):
            raise Conflict("", "")
        return version

    def put(self, one: str, body: dict[str, Any], expected: int | None) -> Any:
        version = self.checked(one, expected)
        if not version and expected not in (None, 0):
            raise NotFound("", "")
        self.rows[one] = version + 1, body
        return Document(one, version + 1, body)

    def delete(self, one: str, expected: int | None) -> bool:
        return bool(self.checked(one, expected)) and bool(self.rows.pop(one))

    async def answer(self, step: Any) -> Any:
        match step:
            case ("put", one, body, expected):
                return self.put(one, body, expected)
            case ("delete", one, expected):
                return self.delete(one, expected)
            case ("count", where):
                return len(self.found(where, ""))
            case ("pages", where, order, _):
                return self.found(where, order)
        raise AssertionError(step)

    def found(self, where: dict[str, Any], order: str) -> list[Any]:
        by = order.removeprefix("-")
        rows = [
            Document(one, version, body)
            for one, (version, body) in self.rows.items()
            if all(meets(body, path, condition) for path, condition in where.items())
        ]
        return sorted(
            rows, key=lambda one: (rank(value_of(one.body, by)) if by else (), one.id), reverse=order.startswith("-")
        )


async def answer(things: Collection, step: Any) -> Any:
    match step:
        case ("put", one, body, expected):
            return await things.put(one, body, expected)
        case ("delete", one, expected):
            return await things.delete(one, expected)
        case ("count", where):
            return await things.count(where)
        case ("pages", where, order, size):
            found: list[Document] = []
            token = ""
            while True:
                page = await things.query(where, order=order, limit=size, page_token=token)
                assert len(page.documents) == size or not page.next_page_token
                found += page.documents
                token = page.next_page_token
                if not token:
                    return found
    raise AssertionError(step)


# In every example, after its own operations: what only shows where values of several kinds meet.
AT_THE_END = [
    *(("pages", {}, order, 2) for order in ("n", "-n", "-deep.t")),
    *(("pages", {"n": between}, "-n", 3) for between in (Between(0, None), Between(None, "b"), Between(None, 1))),
    *(("pages", {"words": Holds([word])}, order, 2) for word in ("a", "정") for order in ("n", "-n")),
    ("pages", {"words": Holds(prefixes=["a"])}, "-n", 2),
    ("count", {"words": Holds(["a"], ["정"])}),
]


# A failure is not made smaller: with a real server that takes minutes.
@settings(
    max_examples=25, phases=[Phase.generate], deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    first=st.lists(bodies, min_size=2, max_size=6),
    then=st.lists(steps, min_size=1, max_size=10),
    few=st.sampled_from([1, 2, 2000]),
    many=st.sampled_from([0, 3, 50_000]),
    prefix_words=st.sampled_from([1, 64]),
)
async def test_both_stores_answer_as_a_dictionary_does(
    first: list[Any],
    then: list[Any],
    few: int,
    many: int,
    prefix_words: int,
    tmp_path: Path,
    mongodb: str,
    database: str,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # So that a few documents are enough for each way in which SQLite finds a page of a search.
        patch.setattr("mesh.store_sql._FEW", few)
        patch.setattr("mesh.store_sql._MANY", many)
        patch.setattr("mesh.store_sql._PREFIX_WORDS", prefix_words)
        await compare(first, then, tmp_path, mongodb, database)


async def compare(first: list[Any], then: list[Any], tmp_path: Path, mongodb: str, database: str) -> None:
    name, model = f"things{next(numbers)}", Model()
    doing = [("put", f"d{number}", body, 0) for number, body in enumerate(first)] + then + AT_THE_END
    async with SqliteStore(tmp_path / "store.sqlite") as sqlite, MongoStore(mongodb, database) as mongo:
        indexes = ["n by deep.t", "deep.t by n", "words[] by n"]
        stores = [await sqlite.collection(name, indexes), await mongo.collection(name, indexes)]
        for step in doing:
            answers = []
            for ask in (*(functools.partial(answer, things) for things in stores), model.answer):
                try:
                    answers.append(await ask(step))
                except TrueframeError as error:
                    answers.append(type(error))
            assert repr(answers[0]) == repr(answers[1]), step
            assert answers[0] == answers[2], step
        assert await sqlite.check() == ""
        assert await mongo.check() == ""
