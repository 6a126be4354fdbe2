"""One RTSP connection: sessions and what each request does (RFC 2326, as far as cameras go).

What belongs here: requests and answers, good manners and bad. What does not: listening (`rtsp`), the text of a
description (`sdp`), what is sent once a session plays (`camera`, `transports`).
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator import sdp
from simulator.audio import AudioSource
from simulator.auth import Login, login_for
from simulator.camera import Camera
from simulator.requests import Headers, Interleaved, Request, RequestError, RequestParser, answer
from simulator.transports import TcpViewer, UdpViewer
from simulator.viewers import Viewer

if TYPE_CHECKING:
    from simulator.rtsp import RtspServer

METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN"
_CLIENT_PORTS = re.compile(r"client_port=(\d+)(?:-(\d+))?")
_INTERLEAVED = re.compile(r"interleaved=(\d+)")
_KEEP_ALIVES = {"options": "OPTIONS", "get_parameter": "GET_PARAMETER"}
MOVED = "moved"
"""First part of the path of cameras that redirect."""
_NOWHERE = "nowhere"
_NOBODY_THERE = "192.0.2.77:554"
"""An address of documentation (RFC 5737): whoever follows it gets nowhere."""
_PACKET_MANNERS = frozenset({"junk", "junk-bytes"})


@dataclass(slots=True)
class _Track:
    channel: int | None = None
    peer: tuple[str, int, int] | None = None


@dataclass(slots=True)
class _Session:
    camera: Camera
    tracks: dict[str, _Track] = field(default_factory=dict)
    viewer: Viewer | None = None
    audio: AudioSource | None = None
    audio_timer: asyncio.TimerHandle | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(8))


class Connection(asyncio.Protocol):
    """Serves one client."""

    def __init__(self, server: RtspServer, *, is_secure: bool) -> None:
        self._server = server
        self._is_secure = is_secure
        self._parser = RequestParser()
        self._sessions: dict[str, _Session] = {}
        self._logins: dict[tuple[str, bool], Login | None] = {}
        self._transport: asyncio.Transport | None = None
        self._client = ""
        self._is_strict = False
        self.last_heard_s = time.monotonic()
        self.timeout_s = 60

    # Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._client = transport.get_extra_info("peername")[0]
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
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
            for track in session.tracks.values():
                if track.peer and (track.peer[0], track.peer[2]) == peer:
                    self._heard()

    def _heard(self) -> None:
        """Something came that an ordinary camera takes for a sign of life."""
        if not self._is_strict:
            self.last_heard_s = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._heard()
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
            self._answer(503, request, camera)
            return
        if camera and self._is_elsewhere(request, camera):
            return
        if camera and request.method != "OPTIONS":
            login = self._login_of(camera)
            if login and not login.accepts(request.method, request.headers.get("authorization")):
                self._answer(401, request, camera, [("WWW-Authenticate", one) for one in login.challenges()])
                return
        if camera and not self._is_kept_alive_by(request, camera):
            self._answer(501, request, camera)
            return
        handler = self._handlers().get(request.method)
        if handler is None:
            self._answer(501, request, camera)
        elif camera is None and request.method in ("DESCRIBE", "SETUP"):
            self._answer(404, request, None)
        else:
            handler(request, camera)

    def _handlers(self) -> dict[str, Callable[[Request, Camera | None], None]]:
        return {
            "OPTIONS": self._options_request,
            "DESCRIBE": self._describe,
            "SETUP": self._setup,
            "PLAY": self._play,
            "PAUSE": self._pause,
            "GET_PARAMETER": self._keep_alive,
            "SET_PARAMETER": self._keep_alive,
            "TEARDOWN": self._teardown,
        }

    def _is_elsewhere(self, request: Request, camera: Camera) -> bool:
        """Whether the camera is had under another URL; then the client has been told."""
        if request.method == "OPTIONS" or self._session_of(request):
            return False
        if _path_of(request).is_moved and camera.traits.redirect != "none":
            self._answer(302, request, camera, [("Location", self._server.redirect_of(camera))])
            return True
        if camera.traits.plays_secure and not self._is_secure:
            self._answer(403, request, camera)
            return True
        return False

    def _login_of(self, camera: Camera) -> Login | None:
        key = (camera.id, camera.fault.kind == "unauthorised")
        if key not in self._logins:
            self._logins[key] = login_for(camera.traits.auth, self._server.login, refuses_all=key[1])
        return self._logins[key]

    def _is_kept_alive_by(self, request: Request, camera: Camera) -> bool:
        """Counts a sign of life; False if this camera does not know that method (while it plays)."""
        wanted = _KEEP_ALIVES.get(camera.traits.keepalive)
        session = self._session_of(request)
        is_playing = any(one.viewer for one in self._sessions.values())
        if wanted is None or not is_playing:
            return True
        if request.method == wanted and (session or wanted == "OPTIONS"):
            self.last_heard_s = time.monotonic()
        return request.method == wanted or request.method not in (*_KEEP_ALIVES.values(), "SET_PARAMETER")

    def _options_request(self, request: Request, camera: Camera | None) -> None:
        methods = METHODS
        if camera and (wanted := _KEEP_ALIVES.get(camera.traits.keepalive)):
            gone = {"GET_PARAMETER", "SET_PARAMETER"} - {wanted}
            methods = ", ".join(name for name in METHODS.split(", ") if name not in gone)
        self._answer(200, request, camera, [("Public", methods)])

    def _describe(self, request: Request, camera: Camera | None) -> None:
        assert camera
        camera.describes += 1
        audio_only = camera.fault.kind == "audio-only"
        body = sdp.describe(camera.clip, self._server.host, camera.traits, camera.audio, audio_only=audio_only)
        headers = [("Content-Type", "application/sdp")]
        manners = camera.traits.manners
        base = request.url.rstrip("/") + "/"
        if "base" in manners:
            base = f"rtsp://{_NOBODY_THERE}/{camera.id}/"
        elif "base-path" in manners:
            base = self._server.url(f"{_NOWHERE}/", secure=self._is_secure)
        if "no-base" not in manners:
            headers.append(("Content-Base", base))
        self._answer(200, request, camera, headers, body)

    def _setup(self, request: Request, camera: Camera | None) -> None:
        assert camera
        name = sdp.AUDIO_TRACK if camera.audio and _path_of(request).track == sdp.AUDIO_TRACK else sdp.VIDEO_TRACK
        session = self._session_of(request) or _Session(camera)
        for wish in request.headers.get("transport", "").split(","):
            track = _Track()
            header = self._transport_header(wish.strip(), session, track, name)
            if header:
                session.tracks[name] = track
                self._sessions[session.id] = session
                timeout_s = self.timeout_s = camera.traits.timeout_s
                told = f"{session.id};timeout={timeout_s}"
                self._answer(200, request, camera, [("Transport", header), ("Session", told)])
                return
        self._answer(461, request, camera)

    def _transport_header(self, wish: str, session: _Session, track: _Track, name: str) -> str:
        traits = session.camera.traits
        has_ports = "no-transport-ports" not in traits.manners
        if wish.startswith("RTP/AVP/TCP"):
            if traits.transport == "udp":
                return ""
            match = _INTERLEAVED.search(wish)
            used = sum(len(one.tracks) for one in self._sessions.values())
            track.channel = int(match[1]) if match else 2 * used
            if track.channel > 254:
                return ""
            told = f";interleaved={track.channel}-{track.channel + 1}" if has_ports else ""
            return f"RTP/AVP/TCP;unicast{told}"
        match = _CLIENT_PORTS.search(wish)
        sockets = self._server.audio_sockets if name == sdp.AUDIO_TRACK else self._server.video_sockets
        if not wish.startswith("RTP/AVP") or "multicast" in wish or match is None or sockets is None:
            return ""
        if traits.transport == "tcp" or self._is_secure:
            return ""
        rtp = int(match[1])
        rtcp = int(match[2] or rtp + 1)
        if not (0 < rtp < 65536 and 0 < rtcp < 65536):
            return ""
        track.peer = (self._client, rtp, rtcp)
        ports = "-".join(str(sock.getsockname()[1]) for sock in sockets)
        return f"RTP/AVP;unicast;client_port={rtp}-{rtcp}" + (f";server_port={ports}" if has_ports else "")

    def _play(self, request: Request, _: Camera | None) -> None:
        session = self._session_of(request)
        if session is None or self._transport is None:
            self._answer(454, request, _)
            return
        camera = session.camera
        _end(session)
        viewer = self._viewer_of(session)
        if viewer is None:
            self._answer(455, request, camera)
            return
        session.viewer = viewer
        viewer.manners = camera.traits.manners & _PACKET_MANNERS
        url = self._server.url(f"{camera.id}/{sdp.VIDEO_TRACK}", secure=self._is_secure)
        info = f"url={url};seq={viewer.sequence};rtptime={camera.rtp_timestamp(viewer.start_position)}"
        headers = [("Session", session.id), ("Range", "npt=now-")]
        if "no-rtpinfo" not in camera.traits.manners:
            headers.append(("RTP-Info", info))
        self._answer(200, request, camera, headers)
        if camera.traits.keepalive != "any":
            self._is_strict, self.last_heard_s = True, time.monotonic()
        camera.play(viewer, self.cut)
        if sdp.AUDIO_TRACK in session.tracks and camera.audio:
            session.audio = AudioSource(camera.audio)
            _send_audio(session, asyncio.get_running_loop().time())

    def _viewer_of(self, session: _Session) -> Viewer | None:
        track, audio = session.tracks.get(sdp.VIDEO_TRACK), session.tracks.get(sdp.AUDIO_TRACK)
        camera, server = session.camera, self._server
        if track is None or self._transport is None:
            return None
        start, connection = camera.next_start(), camera.next_connection()
        if track.channel is not None:
            return TcpViewer(connection, start, self._transport, track.channel)
        if track.peer is None or server.video_sockets is None or server.audio_sockets is None:
            return None
        beside = (server.audio_sockets[0], audio.peer[:2]) if audio and audio.peer else None
        return UdpViewer(connection, start, server.video_sockets, track.peer, self._transport, beside)

    def _pause(self, request: Request, camera: Camera | None) -> None:
        session = self._session_of(request)
        if session is None:
            self._answer(454, request, camera)
            return
        _end(session)
        self._answer(200, request, camera, [("Session", session.id)])

    def _keep_alive(self, request: Request, camera: Camera | None) -> None:
        session = _session_id(request)
        if session and session not in self._sessions:
            self._answer(454, request, camera)
        else:
            self._answer(200, request, camera, [("Session", session)] if session else [])

    def _teardown(self, request: Request, camera: Camera | None) -> None:
        session = self._session_of(request)
        if session is None:
            self._answer(454, request, camera)
            return
        _end(session)
        del self._sessions[session.id]
        self._answer(200, request, camera)

    def _camera_of(self, request: Request) -> Camera | None:
        if session := self._session_of(request):
            return session.camera
        return self._server.cameras.get(_path_of(request).camera)

    def _session_of(self, request: Request) -> _Session | None:
        return self._sessions.get(_session_id(request))

    def _answer(
        self, status: int, request: Request, camera: Camera | None, headers: Headers = (), body: str = ""
    ) -> None:
        manners = camera.traits.manners if camera else frozenset()
        if self._transport:
            self._transport.write(answer(status, request, headers, body, manners))


@dataclass(frozen=True, slots=True)
class _Path:
    camera: str
    track: str
    is_moved: bool


def _path_of(request: Request) -> _Path:
    parts = request.path.split("/")
    is_moved = parts[0] == MOVED
    parts = parts[1:] if is_moved else parts
    track = parts.pop() if len(parts) > 1 and parts[-1] in (sdp.VIDEO_TRACK, sdp.AUDIO_TRACK) else ""
    return _Path("/".join(parts), track, is_moved)


def _session_id(request: Request) -> str:
    return request.headers.get("session", "").partition(";")[0].strip()


def _send_audio(session: _Session, due_s: float) -> None:
    """Sends a packet of the second track, and the next one in time."""
    audio, viewer, track = session.audio, session.viewer, session.tracks[sdp.AUDIO_TRACK]
    if audio is None or viewer is None:
        return
    if session.camera.fault.kind not in ("stall", "hang"):
        viewer.send_audio(audio.next(), track.channel or 0)
    due_s += audio.audio.packet_s
    session.audio_timer = asyncio.get_running_loop().call_at(due_s, _send_audio, session, due_s)


def _end(session: _Session) -> None:
    if session.audio_timer:
        session.audio_timer.cancel()
    if session.viewer:
        session.camera.leave(session.viewer)
    session.viewer = session.audio = session.audio_timer = None
