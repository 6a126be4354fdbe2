"""Documents are brought from schema to schema, on both adapters."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.errors import FailedPrecondition
from mesh.store import Body, Schema, SchemaStore
from tests.stores import Opened


def to_2(body: Body) -> Body:
    zone = body.pop("zone")
    return {**body, "region": zone}


def to_3(body: Body) -> Body:
    return {**body, "score": body["score"] * 100}


SCHEMAS = {1: Schema(), 2: Schema(2, {1: to_2}), 3: Schema(3, {1: to_2, 2: to_3})}


async def rows(store: SchemaStore, schema: Schema) -> dict[str, Body]:
    things = await store.collection("things", ["region"], schema)
    return {one.id: one.body for one in (await things.query(limit=1000)).documents}


async def write_first(opened: Opened, count: int) -> None:
    async with SchemaStore(opened()) as store:
        things = await store.collection("things")
        for number in range(count):
            await things.put(f"t{number:03d}", {"zone": f"z{number}", "score": number})


async def test_documents_are_brought_when_the_collection_is_opened(opened: Opened) -> None:
    await write_first(opened, 3)
    async with SchemaStore(opened()) as store:
        things = await store.collection("things", ["region"], SCHEMAS[3])
        assert [one.id for one in (await things.query({"region": "z1"})).documents] == ["t001"]
        assert (await things.get("t002")).body == {"score": 200, "region": "z2"}
        assert (await things.get("t002")).version == 2
        assert (await things.put("new", {"score": 5, "region": ""})).body == {"score": 5, "region": ""}
    async with SchemaStore(opened()) as store:
        things = await store.collection("things", ["region"], SCHEMAS[3])
        assert (await things.get("t002")).version == 2, "brought once"
        assert (await things.get("new")).body == {"score": 5, "region": ""}


async def test_a_lazy_schema_brings_documents_as_they_are_read(opened: Opened) -> None:
    await write_first(opened, 1)
    async with SchemaStore(opened()) as store:
        things = await store.collection("things", [], Schema(2, {1: to_2}, is_lazy=True))
        assert (await things.get("t000")) == await things.find("t000")
        assert (await things.get("t000")).body == {"score": 0, "region": "z0"}
        assert (await things.get("t000")).version == 1
        await things.put("t000", {"score": 1, "region": "z"}, 1)
    async with SchemaStore(opened()) as store:
        assert await rows(store, SCHEMAS[3]) == {"t000": {"score": 100, "region": "z"}}
        assert await rows(store, SCHEMAS[3]) == {"t000": {"score": 100, "region": "z"}}


async def test_data_of_a_newer_trueframe_is_refused_and_left_alone(opened: Opened) -> None:
    await write_first(opened, 1)
    async with SchemaStore(opened()) as store:
        await rows(store, SCHEMAS[3])
    for schema in (SCHEMAS[1], SCHEMAS[2]):
        async with SchemaStore(opened()) as store:
            with pytest.raises(FailedPrecondition, match="was written by a newer trueframe \\(schema 3"):
                await store.collection("things", [], schema)
    async with SchemaStore(opened()) as store:
        assert await rows(store, SCHEMAS[3]) == {"t000": {"score": 0, "region": "z0"}}


async def test_an_interrupted_bringing_goes_on_where_it_was(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.store_schema.MAX_PAGE", 2)
    await write_first(opened, 9)
    calls: list[str] = []

    def interrupted(body: Body) -> Body:
        calls.append(body["zone"])
        if len(calls) == 6:
            raise KeyboardInterrupt
        return to_2(body)

    async with SchemaStore(opened()) as store:
        with pytest.raises(KeyboardInterrupt):
            await store.collection("things", ["region"], Schema(2, {1: interrupted}))
    async with SchemaStore(opened()) as store:
        with pytest.raises(FailedPrecondition, match="newer"):
            await store.collection("things")
    read: list[str] = []

    def counted(body: Body) -> Body:
        read.append(body["zone"])
        return to_2(body)

    async with SchemaStore(opened()) as store:
        found = await rows(store, Schema(2, {1: counted}))
    assert found == {f"t{number:03d}": {"score": number, "region": f"z{number}"} for number in range(9)}
    assert set(read) == {"z5", "z6", "z7", "z8"}, "what was brought is not brought again"


async def test_a_step_that_fails_names_the_document_and_changes_nothing(opened: Opened) -> None:
    await write_first(opened, 1)

    def broken(body: Body) -> Any:
        return body["nothing"]

    async with SchemaStore(opened()) as store:
        with pytest.raises(FailedPrecondition, match="cannot be brought from schema 1 to 2 \\(KeyError: 'nothing'\\)"):
            await store.collection("things", [], Schema(2, {1: broken}))
        assert await rows(store, SCHEMAS[2]) == {"t000": {"score": 0, "region": "z0"}}
        with pytest.raises(ValueError, match="no step from schema 1"):
            await store.collection("others", [], Schema(2))
