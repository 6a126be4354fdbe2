"""The HTTP server for cameras that speak MJPEG over HTTP and HTTPS.

What belongs here: listening, requests and the answer's head. What does not: the parts (`http_viewer`).
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from simulator.auth import Login, login_for
from simulator.camera import Camera
from simulator.http_viewer import HttpViewer, content_type
from simulator.requests import REASONS, Headers, Interleaved, Request, RequestError, RequestParser
from simulator.rtsp_connection import MOVED


@dataclass(slots=True)
class HttpPorts:
    """Where the server listens; 0: nowhere."""

    plain: int = 0
    other: int = 0
    tls: int = 0


class HttpServer:
    """Listens; knows the cameras by id."""

    def __init__(self, cameras: dict[str, Camera], login: tuple[str, str] | None = None) -> None:
        self.cameras = {name: camera for name, camera in cameras.items() if camera.traits.is_http}
        self.login = login
        self.logins: dict[tuple[str, bool], Login | None] = {}
        self.connections: set[_Connection] = set()
        self.host = ""
        self.ports = HttpPorts()
        self._servers: list[asyncio.Server] = []

    async def start(self, host: str, wanted: HttpPorts, tls: ssl.SSLContext | None = None) -> None:
        """Begins to listen if there is a camera to serve. Raises OSError when it cannot."""
        if not self.cameras:
            return
        self.ports.plain = await self._listen(host, wanted.plain, None)
        if any(camera.traits.redirect == "port" for camera in self.cameras.values()):
            self.ports.other = await self._listen(host, wanted.other, None)
        if tls:
            self.ports.tls = await self._listen(host, wanted.tls, tls)

    async def _listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Connection(self, is_secure=tls is not None), host, port, backlog=256, ssl=tls
        )
        self._servers.append(server)
        self.host, found = server.sockets[0].getsockname()[:2]
        return int(found)

    async def close(self) -> None:
        """Stops listening and cuts every connection."""
        for connection in list(self.connections):
            connection.cut()
        for server in self._servers:
            server.close()
            await server.wait_closed()

    def told_url(self, camera: Camera) -> str:
        """The URL that a camera is known by, before any redirect."""
        path = camera.id if camera.traits.redirect == "none" else f"{MOVED}/{camera.id}"
        return self._url(path, secure=camera.traits.told_secure)

    def redirect_of(self, camera: Camera) -> str:
        """Where a request for the URL that is told is sent to."""
        if camera.traits.redirect == "loop":
            return self.told_url(camera)
        port = self.ports.other if camera.traits.redirect == "port" else 0
        return self._url(camera.id, secure=camera.traits.plays_secure, port=port)

    def _url(self, path: str, *, secure: bool, port: int = 0) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = port or (self.ports.tls if secure else self.ports.plain)
        return f"{'https' if secure else 'http'}://{host}:{port}/{path}"


class _Connection(asyncio.Protocol):
    def __init__(self, server: HttpServer, *, is_secure: bool) -> None:
        self._server = server
        self._is_secure = is_secure
        self._parser = RequestParser("HTTP")
        self._transport: asyncio.Transport | None = None
        self._viewer: tuple[Camera, HttpViewer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self._viewer:
            camera, viewer = self._viewer
            camera.leave(viewer)
        self._server.connections.discard(self)

    def cut(self) -> None:
        """Ends the connection at once."""
        if self._transport:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for item in self._parser.feed(data):
                if isinstance(item, Interleaved):
                    raise RequestError("HTTP has no interleaved packets")
                if self._viewer is None:
                    self._handle(item)
        except RequestError:
            self.cut()

    def _handle(self, request: Request) -> None:
        is_moved = request.path.startswith(f"{MOVED}/")
        camera = self._server.cameras.get(request.path.removeprefix(f"{MOVED}/"))
        kind = camera.fault.kind if camera else "none"
        if kind == "stop":
            self.cut()
            return
        if kind == "hang":
            return
        if camera is None or request.method != "GET":
            self._refuse(404 if camera is None else 405)
            return
        if kind == "refuse":
            self._refuse(503)
            return
        if is_moved and camera.traits.redirect != "none":
            self._refuse(302, [("Location", self._server.redirect_of(camera))])
            return
        if camera.traits.plays_secure and not self._is_secure:
            self._refuse(403)
            return
        login = self._login_of(camera)
        if login and not login.accepts(request.method, request.headers.get("authorization")):
            self._refuse(401, [("WWW-Authenticate", one) for one in login.challenges()])
            return
        if kind == "audio-only":
            self._refuse(200, [("Content-Type", "audio/basic")])
            return
        self._play(camera)

    def _login_of(self, camera: Camera) -> Login | None:
        # HTTP clients use a connection per request: the nonce belongs to the server.
        key = (camera.id, camera.fault.kind == "unauthorised")
        if key not in self._server.logins:
            self._server.logins[key] = login_for(camera.traits.auth, self._server.login, refuses_all=key[1])
        return self._server.logins[key]

    def _play(self, camera: Camera) -> None:
        assert self._transport
        camera.describes += 1
        manners = camera.traits.manners
        lines = ["HTTP/1.1 200 OK", "Server: trueframe-simulator", f"Content-Type: {content_type(camera.traits)}"]
        lines.append("Transfer-Encoding: chunked" if "chunked" in manners else "Connection: close")
        if "case" in manners:
            lines[1:] = [
                f"{name.swapcase()}:{value}" for name, _, value in (line.partition(": ") for line in lines[1:])
            ]
        end = "\n" if "lf" in manners else "\r\n"
        self._transport.write(end.join([*lines, "", ""]).encode())
        viewer = HttpViewer(camera.next_connection(), camera.next_start(), self._transport, camera.traits)
        self._viewer = camera, viewer
        camera.play(viewer, self.cut)

    def _refuse(self, status: int, headers: Headers = ()) -> None:
        assert self._transport
        lines = [f"HTTP/1.1 {status} {REASONS[status]}", "Server: trueframe-simulator"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines += ["Content-Length: 0", "Connection: close", "", ""]
        self._transport.write("\r\n".join(lines).encode())
        self._transport.close()
