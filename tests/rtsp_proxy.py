"""Between a broker and a simulated camera: passes RTSP on, changed as a test wants it. The pictures stay real."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

Rewrite = Callable[[bytes], bytes]


def unchanged(data: bytes) -> bytes:
    """Nothing is rewritten."""
    return data


class RtspProxy:
    """One listening port. `requests` are the first lines that came by, `connections` how many there were."""

    def __init__(self, camera_port: int, to_camera: Rewrite, to_broker: Rewrite) -> None:
        self._camera_port = camera_port
        self._to_camera = to_camera
        self._to_broker = to_broker
        self._broker: asyncio.StreamWriter | None = None
        self.requests: list[str] = []
        self.heads: list[str] = []
        self.connections = 0
        self.port = 0

    def url(self, path: str, credentials: str = "") -> str:
        """The camera's URL by way of this proxy."""
        return f"rtsp://{credentials}127.0.0.1:{self.port}/{path}"

    def say(self, data: bytes) -> None:
        """Sends this to the broker, on its newest connection, as if the camera had."""
        assert self._broker is not None
        self._broker.write(data)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the broker; both sides are closed when it ends, however it does."""
        self.connections += 1
        self._broker = writer
        writers = [writer]

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, rewrite: Rewrite) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(1 << 16):
                    if source is reader and data[:1] != b"$":
                        self.heads.append(data.decode("utf-8", "replace"))
                        self.requests.append(data.split(b" ", 1)[0].decode("utf-8", "replace"))
                    target.write(rewrite(data))
                    await target.drain()
            target.close()

        try:
            camera_reader, camera_writer = await asyncio.open_connection("127.0.0.1", self._camera_port)
            writers.append(camera_writer)
            await asyncio.gather(
                pump(reader, camera_writer, self._to_camera), pump(camera_reader, writer, self._to_broker)
            )
        finally:
            for one in writers:
                one.close()
            # A task that is cancelled must not wait for long: what is closed and not waited for is told as a leak.
            for one in writers:
                with contextlib.suppress(OSError):
                    await one.wait_closed()


@contextlib.asynccontextmanager
async def proxied(
    camera_port: int, to_camera: Rewrite = unchanged, to_broker: Rewrite = unchanged
) -> AsyncIterator[RtspProxy]:
    """A proxy in front of a camera's port, in this event loop."""
    proxy = RtspProxy(camera_port, to_camera, to_broker)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
