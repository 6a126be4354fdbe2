"""The book of privacy masks: kept in a file, and who may not see waits where nobody knows."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from media_center import mask_book
from media_center.mask_book import MaskBook
from mesh.errors import Unavailable
from mesh.masks import encode
from tests.support import auntil
from tests.unit.mesh.test_masks import SQUARE
from trueframe.v1 import cameras_pb2, cameras_pb2_grpc


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


class Broker(cameras_pb2_grpc.CameraServiceServicer):
    """Tells of one masked camera, and then what it is given."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[cameras_pb2.WatchCamerasResponse] = asyncio.Queue()
        corners = [cameras_pb2.MaskCorner(x=x, y=y) for x, y in SQUARE.corners]
        masks = [cameras_pb2.PrivacyMask(name=SQUARE.name, corners=corners)]
        self.gate = cameras_pb2.Camera(spec=cameras_pb2.CameraSpec(id="gate"), masks=masks)

    async def WatchCameras(  # noqa: N802
        self, request: Any, context: Any
    ) -> AsyncIterator[cameras_pb2.WatchCamerasResponse]:
        yield cameras_pb2.WatchCamerasResponse(camera=self.gate)
        yield cameras_pb2.WatchCamerasResponse(caught_up=True)
        while True:
            yield await self.news.get()


async def test_masks_that_a_full_disk_refused_are_kept_once_it_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[Path] = []
    write = mask_book.write_private

    def refuse(path: Path, data: bytes) -> None:
        refused.append(path)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(mask_book, "write_private", refuse)
    broker, server, path = Broker(), grpc.aio.server(), tmp_path / "masks.json"
    cameras_pb2_grpc.add_CameraServiceServicer_to_server(broker, server)
    server.add_insecure_port(f"unix:{tmp_path / 'b.sock'}")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path / 'b.sock'}") as channel:
        book = MaskBook(path, channel)
        task = asyncio.create_task(book.run())
        await auntil(lambda: len(refused) >= 2)
        assert await book.of("gate") == (SQUARE,)
        monkeypatch.setattr(mask_book, "write_private", write)
        await broker.news.put(cameras_pb2.WatchCamerasResponse(camera=broker.gate))
        await auntil(path.exists)
        assert await MaskBook(path, channel).of("gate") == (SQUARE,), "after a restart, without the broker"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await server.stop(0)
