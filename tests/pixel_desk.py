"""rings.sock in this process, with outlets that a test writes to. For integration tests of picture rings."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.pixel.client import Missing, Picture, RingReader
from broker.pixel.handover import ReaderSeat, serve_rings
from broker.pixel.outlet import Budget, Outlet
from broker.pixel.planes import Planes, planes_of
from mesh.errors import NotFound
from mesh.tokens import Verifier, mint_token
from tests.support import until

EPOCH = 1_700_000_000_000_000_000


class Desk:
    """rings.sock with outlets that a test writes to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "rings.sock"
        key = Ed25519PrivateKey.generate()
        self.token = mint_token(key, "worker", "service")
        self.outlets: dict[str, Outlet] = {}
        self._verifier = Verifier(key.public_key())
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self) -> None:
        async with serve_rings(self.path, self._verifier, self._take_seat):
            self._ready.set()
            await self._stop.wait()

    async def _take_seat(self, camera: str, seat: ReaderSeat) -> Callable[[], None]:
        outlet = self.outlets.get(camera)
        if outlet is None:
            raise NotFound(f"camera {camera!r}", "does not exist")
        outlet.add(seat)
        return lambda: outlet.remove(seat)

    def outlet(self, camera: str, budget: Budget | None = None, session: int = 1, slots: int = 4) -> Outlet:
        self.outlets[camera] = Outlet(camera, slots, budget or Budget(1 << 30), session)
        return self.outlets[camera]

    def reader(self, camera: str, **options: object) -> RingReader:
        return RingReader(self.path, self.token, camera, **options)  # type: ignore[arg-type]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()


@contextlib.contextmanager
def running_desk() -> Iterator[Desk]:
    """A desk in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="tf-") as folder:
        desk = Desk(Path(folder))
        try:
            yield desk
        finally:
            desk.close()
        gc.collect()
        assert not desk.path.exists()


def picture_planes(value: int, width: int = 32, height: int = 16) -> Planes:
    frame = av.VideoFrame.from_ndarray(np.full((height * 3 // 2, width), value % 256, np.uint8), format="yuv420p")
    return planes_of(frame)


def show(outlet: Outlet, seq: int, *, width: int = 32, inexact: bool = False) -> None:
    outlet.picture(picture_planes(seq, width), seq=seq, received_ns=EPOCH + seq, monotonic_ns=seq, inexact=inexact)


def read_all(reader: RingReader) -> list[Picture | Missing]:
    items = []
    while (item := reader.read(0)) is not None:
        items.append(item)
    return items


def told(items: list[Picture | Missing]) -> list[int]:
    seqs: list[int] = []
    for item in items:
        seqs += [item.id.seq] if isinstance(item, Picture) else range(item.first_id.seq, item.last_id.seq + 1)
    return seqs


def seated(desk: Desk, outlet: Outlet, reader: RingReader, readers: int = 1) -> None:
    """Connects, and takes the ring if there is one: a reader begins with what is shown after that."""
    reader.read(0)
    until(lambda: outlet.readers == readers, 10)
    with outlet._lock:  # taken while the reader is seated
        has_ring = outlet._ring is not None
    if has_ring:
        until(lambda: reader.read(0) is None and reader._story.mapping is not None, 10, "the ring has come")
    assert reader.read(0.02) is None
