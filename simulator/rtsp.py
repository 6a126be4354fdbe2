"""The RTSP server: one port, many cameras.

What belongs here: connections, sessions and what each request does (RFC 2326, as far as cameras go). What does not:
what is sent once a session plays (`camera`, `viewers`).
"""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
import time
from dataclasses import dataclass, field

from simulator import sdp
from simulator.auth import Digest
from simulator.camera import Camera
from simulator.requests import Interleaved, Request, RequestError, RequestParser, answer
from simulator.viewers import TcpViewer, UdpViewer, Viewer

METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN"
_CLIENT_PORTS = re.compile(r"client_port=(\d+)(?:-(\d+))?")
_INTERLEAVED = re.compile(r"interleaved=(\d+)")


@dataclass(slots=True)
class ServerOptions:
    """How the server behaves."""

    digest: Digest | None = None
    sprop: bool = True
    tcp: bool = True
    udp: bool = True
    start_anywhere: bool = False
    """Whether a connection begins with the very next unit instead of the next join point."""
    session_timeout_s: int = 60


@dataclass(slots=True)
class _Session:
    camera: Camera
    channel: int | None = None
    peer: tuple[str, int, int] | None = None
    viewer: Viewer | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(8))


class RtspServer:
    """Listens; knows the cameras by id."""

    def __init__(self, cameras: dict[str, Camera], options: ServerOptions) -> None:
        self.cameras = cameras
        self.options = options
        self.connections: set[_Connection] = set()
        self.udp_sockets: tuple[socket.socket, socket.socket] | None = None
        self.host = ""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._watch: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> None:
        """Begins to listen. Raises OSError when it cannot."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, backlog=256)
        self.host, self.port = self._server.sockets[0].getsockname()[:2]
        if self.options.udp:
            self.udp_sockets = _udp_pair(host)
            loop.add_reader(self.udp_sockets[1], self._rtcp_came)
        self._look_for_idle()

    async def close(self) -> None:
        """Stops listening and cuts every connection."""
        if self._watch:
            self._watch.cancel()
        if self.udp_sockets:
            asyncio.get_running_loop().remove_reader(self.udp_sockets[1])
            for sock in self.udp_sockets:
                sock.close()
        for connection in list(self.connections):
            connection.cut()
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    def _rtcp_came(self) -> None:
        """A receiver report keeps a UDP session alive."""
        if self.udp_sockets is None:
            return
        try:
            _, peer = self.udp_sockets[1].recvfrom(2048)
        except OSError:
            return
        for connection in self.connections:
            connection.heard_from(peer)

    def _look_for_idle(self) -> None:
        oldest = time.monotonic() - 1.25 * self.options.session_timeout_s
        for connection in [c for c in self.connections if c.last_heard_s < oldest]:
            connection.cut()
        self._watch = asyncio.get_running_loop().call_later(1.0, self._look_for_idle)


class _Connection(asyncio.Protocol):
    def __init__(self, server: RtspServer) -> None:
        self._server = server
        self._options = server.options
        self._parser = RequestParser()
        self._sessions: dict[str, _Session] = {}
        self._transport: asyncio.Transport | None = None
        self._client = ""
        self.last_heard_s = time.monotonic()

    # Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._client = transport.get_extra_info("peername")[0]
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        for session in self._sessions.values():
            _end(session)
        self._sessions.clear()
        self._server.connections.discard(self)

    def cut(self) -> None:
        """Ends the connection at once, as when a cable is pulled and a switch answers for it."""
        if self._transport:
            self._transport.abort()

    def heard_from(self, peer: tuple[str, int]) -> None:
        """RTCP came from this address; if it is one of ours, the sessions live on."""
        for session in self._sessions.values():
            if session.peer and (session.peer[0], session.peer[2]) == peer:
                self.last_heard_s = time.monotonic()

    def data_received(self, data: bytes) -> None:
        self.last_heard_s = time.monotonic()
        try:
            for item in self._parser.feed(data):
                if not isinstance(item, Interleaved):
                    self._handle(item)
        except RequestError:
            self.cut()

    # Requests

    def _handle(self, request: Request) -> None:
        camera = self._camera_of(request)
        kind = camera.fault.kind if camera else "none"
        if kind == "stop":
            self.cut()
            return
        if kind == "hang":
            return
        if kind == "refuse":
            self._answer(503, request)
            return
        digest = self._options.digest or (Digest("nobody", secrets.token_hex(8)) if kind == "unauthorised" else None)
        if digest and request.method != "OPTIONS":
            accepted = digest.accepts(request.method, request.headers.get("authorization"))
            if not accepted or kind == "unauthorised":
                self._answer(401, request, {"WWW-Authenticate": digest.challenge()})
                return
        handler = {
            "OPTIONS": self._options_request,
            "DESCRIBE": self._describe,
            "SETUP": self._setup,
            "PLAY": self._play,
            "PAUSE": self._pause,
            "GET_PARAMETER": self._keep_alive,
            "SET_PARAMETER": self._keep_alive,
            "TEARDOWN": self._teardown,
        }.get(request.method)
        if handler is None:
            self._answer(501, request)
        else:
            handler(request, camera)

    def _options_request(self, request: Request, camera: Camera | None) -> None:
        self._answer(200, request, {"Public": METHODS})

    def _describe(self, request: Request, camera: Camera | None) -> None:
        if camera is None:
            self._answer(404, request)
            return
        camera.describes += 1
        audio_only = camera.fault.kind == "audio-only"
        body = sdp.describe(camera.clip, self._server.host, sprop=self._options.sprop, audio_only=audio_only)
        base = request.url.rstrip("/") + "/"
        self._answer(200, request, {"Content-Base": base, "Content-Type": "application/sdp"}, body)

    def _setup(self, request: Request, camera: Camera | None) -> None:
        if camera is None:
            self._answer(404, request)
            return
        session = _Session(camera)
        for wish in request.headers.get("transport", "").split(","):
            if header := self._transport_header(wish.strip(), session):
                self._sessions[session.id] = session
                timeout = f"{session.id};timeout={self._options.session_timeout_s}"
                self._answer(200, request, {"Transport": header, "Session": timeout})
                return
        self._answer(461, request)

    def _transport_header(self, wish: str, session: _Session) -> str:
        if wish.startswith("RTP/AVP/TCP"):
            if not self._options.tcp:
                return ""
            match = _INTERLEAVED.search(wish)
            session.channel = int(match[1]) if match else 2 * len(self._sessions)
            if session.channel > 254:
                return ""
            return f"RTP/AVP/TCP;unicast;interleaved={session.channel}-{session.channel + 1}"
        match = _CLIENT_PORTS.search(wish)
        if not wish.startswith("RTP/AVP") or "multicast" in wish or match is None or self._server.udp_sockets is None:
            return ""
        rtp = int(match[1])
        rtcp = int(match[2] or rtp + 1)
        if not (0 < rtp < 65536 and 0 < rtcp < 65536):
            return ""
        session.peer = (self._client, rtp, rtcp)
        ports = "-".join(str(sock.getsockname()[1]) for sock in self._server.udp_sockets)
        return f"RTP/AVP;unicast;client_port={rtp}-{rtcp};server_port={ports}"

    def _play(self, request: Request, _: Camera | None) -> None:
        session = self._session_of(request)
        if session is None or self._transport is None:
            self._answer(454, request)
            return
        camera = session.camera
        if session.viewer:
            camera.leave(session.viewer)
        start = camera.next_start(self._options.start_anywhere)
        connection = camera.next_connection()
        if session.channel is not None:
            session.viewer = TcpViewer(connection, start, self._transport, session.channel)
        elif session.peer and self._server.udp_sockets:
            session.viewer = UdpViewer(connection, start, self._server.udp_sockets, session.peer)
        else:
            self._answer(455, request)
            return
        info = (
            f"url=rtsp://{self._server.host}:{self._server.port}/{camera.id}/{sdp.TRACK};"
            f"seq={session.viewer.sequence};rtptime={camera.rtp_timestamp(start)}"
        )
        self._answer(200, request, {"Session": session.id, "Range": "npt=now-", "RTP-Info": info})
        camera.play(session.viewer, self.cut)

    def _pause(self, request: Request, _: Camera | None) -> None:
        session = self._session_of(request)
        if session is None:
            self._answer(454, request)
            return
        _end(session)
        self._answer(200, request, {"Session": session.id})

    def _keep_alive(self, request: Request, _: Camera | None) -> None:
        session = request.headers.get("session", "").partition(";")[0]
        if session and session not in self._sessions:
            self._answer(454, request)
        else:
            self._answer(200, request, {"Session": session} if session else None)

    def _teardown(self, request: Request, _: Camera | None) -> None:
        session = self._session_of(request)
        if session is None:
            self._answer(454, request)
            return
        _end(session)
        del self._sessions[session.id]
        self._answer(200, request)

    def _camera_of(self, request: Request) -> Camera | None:
        if session := self._session_of(request):
            return session.camera
        return self._server.cameras.get(request.path.removesuffix("/" + sdp.TRACK))

    def _session_of(self, request: Request) -> _Session | None:
        return self._sessions.get(request.headers.get("session", "").partition(";")[0].strip())

    def _answer(self, status: int, request: Request, headers: dict[str, str] | None = None, body: str = "") -> None:
        if self._transport:
            self._transport.write(answer(status, request, headers, body))


def _end(session: _Session) -> None:
    if session.viewer:
        session.camera.leave(session.viewer)
        session.viewer = None


def _udp_pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Two sockets on neighbouring ports, the first one even. Raises OSError when there are none."""
    for _ in range(100):
        rtp = _udp_socket(host, 0)
        port = rtp.getsockname()[1]
        if port % 2 == 0:
            try:
                return rtp, _udp_socket(host, port + 1)
            except OSError:
                rtp.close()
                continue
        rtp.close()
    raise OSError("no pair of free UDP ports was found")


def _udp_socket(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
