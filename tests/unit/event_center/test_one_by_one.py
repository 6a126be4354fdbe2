from __future__ import annotations

import pytest

from event_center.one_by_one import each
from mesh.errors import DataLoss, Unavailable


async def test_a_change_that_fails_keeps_no_other_from_being_made() -> None:
    made = []

    async def change(event_id: str) -> None:
        if event_id == "bad":
            raise DataLoss("event bad", "is damaged")
        made.append(event_id)

    failed = await each(["a", "bad", "b"], change)
    assert made == ["a", "b"]
    assert [str(error) for error in failed] == [str(DataLoss("event bad", "is damaged"))]


async def test_a_store_that_is_away_is_asked_once() -> None:
    asked = []

    async def change(event_id: str) -> None:
        asked.append(event_id)
        raise Unavailable("store", "is away")

    with pytest.raises(Unavailable):
        await each(["a", "b"], change)
    assert asked == ["a"]
