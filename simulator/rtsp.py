"""The RTSP server: its ports and sockets, and which connections there are.

What belongs here: listening (plain, TLS, and a port that redirects lead to), UDP sockets, sessions that nobody keeps
alive. What does not: what each request does (`rtsp_connection`), what is sent once a session plays (`camera`).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass

from simulator.camera import Camera
from simulator.rtsp_connection import MOVED, Connection
from simulator.transports import Sockets, udp_pair


@dataclass(slots=True)
class Ports:
    """Where the server listens; 0: nowhere."""

    plain: int = 0
    other: int = 0
    """A second plain port, for cameras that send their viewers there."""
    tls: int = 0


class RtspServer:
    """Listens; knows the cameras by id."""

    def __init__(self, cameras: dict[str, Camera], login: tuple[str, str] | None = None) -> None:
        self.cameras = {name: camera for name, camera in cameras.items() if not camera.traits.is_http}
        self.login = login
        self.connections: set[Connection] = set()
        self.video_sockets: Sockets | None = None
        self.audio_sockets: Sockets | None = None
        self.host = ""
        self.ports = Ports()
        self._servers: list[asyncio.Server] = []
        self._watch: asyncio.TimerHandle | None = None

    async def start(self, host: str, wanted: Ports, tls: ssl.SSLContext | None = None) -> None:
        """Begins to listen; with `tls` also for RTSP over TLS. Raises OSError when it cannot."""
        self.ports.plain = await self._listen(host, wanted.plain, None)
        traits = [camera.traits for camera in self.cameras.values()]
        if any(one.redirect == "port" for one in traits):
            self.ports.other = await self._listen(host, wanted.other, None)
        if tls:
            self.ports.tls = await self._listen(host, wanted.tls, tls)
        loop = asyncio.get_running_loop()
        if any(one.transport != "tcp" for one in traits):
            self.video_sockets, self.audio_sockets = udp_pair(host), udp_pair(host)
            loop.add_reader(self.video_sockets[1], self._rtcp_came)
        self._look_for_idle()

    async def _listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Connection(self, is_secure=tls is not None), host, port, backlog=256, ssl=tls
        )
        self._servers.append(server)
        self.host, found = server.sockets[0].getsockname()[:2]
        return int(found)

    async def close(self) -> None:
        """Stops listening and cuts every connection."""
        if self._watch:
            self._watch.cancel()
        if self.video_sockets:
            asyncio.get_running_loop().remove_reader(self.video_sockets[1])
        for sock in [*(self.video_sockets or ()), *(self.audio_sockets or ())]:
            sock.close()
        for connection in list(self.connections):
            connection.cut()
        for server in self._servers:
            server.close()
            await server.wait_closed()

    def url(self, path: str, *, secure: bool, port: int = 0) -> str:
        """The URL of a path of this server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "rtsps" if secure else "rtsp"
        return f"{scheme}://{host}:{port or (self.ports.tls if secure else self.ports.plain)}/{path}"

    def told_url(self, camera: Camera) -> str:
        """The URL that a camera is known by, before any redirect."""
        traits = camera.traits
        path = camera.id if traits.redirect == "none" else f"{MOVED}/{camera.id}"
        return self.url(path, secure=traits.told_secure)

    def redirect_of(self, camera: Camera) -> str:
        """Where a request for the URL that is told is sent to."""
        traits = camera.traits
        if traits.redirect == "loop":
            return self.told_url(camera)
        port = self.ports.other if traits.redirect == "port" else 0
        return self.url(camera.id, secure=traits.plays_secure, port=port)

    def _rtcp_came(self) -> None:
        """A receiver report keeps a UDP session alive."""
        if self.video_sockets is None:
            return
        try:
            _, peer = self.video_sockets[1].recvfrom(2048)
        except OSError:
            return
        for connection in self.connections:
            connection.heard_from(peer)

    def _look_for_idle(self) -> None:
        now = time.monotonic()
        for connection in [c for c in self.connections if c.last_heard_s < now - 1.25 * c.timeout_s]:
            connection.cut()
        self._watch = asyncio.get_running_loop().call_later(0.5, self._look_for_idle)
