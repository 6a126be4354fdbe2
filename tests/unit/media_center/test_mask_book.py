"""The book of privacy masks: kept in a file, and who may not see waits where nobody knows."""

from __future__ import annotations

import json
from pathlib import Path

import grpc.aio
import pytest

from media_center import mask_book
from media_center.mask_book import MaskBook
from mesh.errors import Unavailable
from mesh.masks import encode
from tests.unit.mesh.test_masks import SQUARE


@pytest.fixture
async def channel() -> grpc.aio.Channel:
    return grpc.aio.insecure_channel("unix:/nobody-listens-here")


async def test_a_book_that_was_kept_is_believed_without_a_broker(
    tmp_path: Path, channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_book, "_PATIENCE_S", 0.01)
    (tmp_path / "masks.json").write_text(json.dumps({"gate": encode((SQUARE,)), "yard": "[]"}))
    book = MaskBook(tmp_path / "masks.json", channel)
    assert await book.of("gate") == (SQUARE,)
    assert await book.of("yard") == ()
    with pytest.raises(Unavailable, match="are not known"):
        await book.of("a-camera-that-came-since")


async def test_a_damaged_book_shows_nothing_until_the_broker_answers(
    tmp_path: Path, channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_book, "_PATIENCE_S", 0.01)
    (tmp_path / "masks.json").write_text('{"gate": 7')
    with pytest.raises(Unavailable):
        await MaskBook(tmp_path / "masks.json", channel).of("gate")


async def test_where_no_broker_ever_answered_there_are_no_masks(tmp_path: Path, channel: grpc.aio.Channel) -> None:
    assert await MaskBook(tmp_path / "masks.json", channel).of("gate") == ()
