"""The conversation that makes a camera play: OPTIONS, DESCRIBE, SETUP, PLAY, keep-alive, TEARDOWN.

Belongs here: the order of requests, what the answers mean, and their failures as `SourceFailure`. Does not belong
here: sockets and bytes (`connection`), frames (`ingest`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from broker.errors import SourceFailure, SourceRefused, SourceSpokeNonsense, SourceUnauthorised
from broker.rtsp import messages, sdp
from broker.rtsp.auth import Authenticator
from broker.rtsp.messages import Response
from broker.sources.notation import RtspSource
from mesh.redact import redact

USER_AGENT = "trueframe"
_MAX_TRIES = 3
_MAX_AUDIO_STREAMS = 4
_CODEC_NAMES = {"H265": "H.265", "JPEG": "Motion JPEG", "MP4V-ES": "MPEG-4 Part 2", "MP2T": "an MPEG transport stream"}


class Peer(Protocol):
    """Whoever carries requests to the camera and brings answers back."""

    async def exchange(self, method: str, url: str, headers: list[tuple[str, str]]) -> Response:
        """Sends one request and returns its answer. Raises SourceUnreachable if none comes in time."""
        ...


@dataclass(frozen=True, slots=True)
class VideoStream:
    """What will arrive, and where."""

    clock_rate: int
    payload_type: int
    rtp_channel: int
    rtcp_channel: int
    parameter_sets: tuple[bytes, ...]
    audio_channels: frozenset[int]
    session_timeout_s: float


class RtspSession:
    """One conversation with one camera over one connection."""

    def __init__(self, source: RtspSource, peer: Peer) -> None:
        self._source = source
        self._peer = peer
        self._authenticator = Authenticator(source.credentials) if source.credentials else None
        self._session_id = ""
        self._aggregate_url = source.url
        self._audio_urls: list[str] = []
        self._keep_alive_method = "OPTIONS"
        self._thing = f"camera at {source.host}:{source.port}"

    async def describe(self) -> sdp.Media:
        """OPTIONS and DESCRIBE; returns the video that the broker can carry. Raises SourceFailure."""
        options = await self._request("OPTIONS", self._source.url, [], accepts_refusal=True)
        if options.status == 200 and "GET_PARAMETER" in options.headers.get("Public"):
            self._keep_alive_method = "GET_PARAMETER"
        answer = await self._request("DESCRIBE", self._source.url, [("Accept", "application/sdp")])
        try:
            description = sdp.parse_sdp(answer.body)
        except sdp.MalformedDescription as error:
            raise SourceRefused(self._thing, f"describes its stream in a way that cannot be read ({error})") from error
        base = answer.headers.get("Content-Base") or answer.headers.get("Content-Location") or self._source.url
        base = base if "://" in base else self._source.url
        aggregate = sdp.resolve_control(base, description.control)
        self._aggregate_url = sdp.on_same_host(aggregate, self._source.url)
        media = self._choose(description)
        # RFC 2326 C.1.1 resolves against Content-Base, and session-level control only names the aggregate; but an
        # absolute session control is what some cameras mean media controls to be below.
        media_base = aggregate if "://" in description.control else base
        url = sdp.on_same_host(sdp.resolve_control(media_base, media.control), self._source.url)
        self._audio_urls = [
            sdp.on_same_host(sdp.resolve_control(media_base, m.control), self._source.url)
            for m in description.media
            if m.kind == "audio"
        ][:_MAX_AUDIO_STREAMS]
        return sdp.Media(media.kind, media.payload_type, media.encoding, media.clock_rate, url, media.parameters)

    def _choose(self, description: sdp.Description) -> sdp.Media:
        video = [m for m in description.media if m.kind == "video"]
        if not video:
            if any(m.kind == "audio" for m in description.media):
                raise SourceRefused(self._thing, "sends audio only", "Give the URL of a stream that has video.")
            raise SourceRefused(self._thing, "offers no video", "Give the URL of a stream that has video.")
        for media in video:
            if media.encoding == "H264" and media.parameters.get("packetization-mode", "0") in ("0", "1"):
                return media
        name = _CODEC_NAMES.get(video[0].encoding, video[0].encoding[:40] or f"payload type {video[0].payload_type}")
        if video[0].encoding == "H264":
            name = "H.264 in interleaved packetization mode"
        raise SourceRefused(
            self._thing, f"sends {name}, which this version does not carry", "Set this stream to H.264 in the camera."
        )

    async def set_up(self, media: sdp.Media) -> VideoStream:
        """SETUP of the one video stream over TCP, and of audio beside it, which is dropped. Raises SourceFailure."""
        transport = "RTP/AVP/TCP;unicast;interleaved=0-1"
        answer = await self._request("SETUP", media.control, [("Transport", transport)])
        session = answer.headers.get("Session")
        self._session_id, timeout_s = messages.session_of(session)
        given = answer.headers.get("Transport")
        channels = messages.interleaved_channels(given)
        if channels is None:
            if given and "tcp" not in given.lower():
                raise self._no_tcp()
            channels = (0, 1)
        return VideoStream(
            clock_rate=media.clock_rate,
            payload_type=media.payload_type,
            rtp_channel=channels[0],
            rtcp_channel=channels[1],
            parameter_sets=tuple(media.parameter_sets),
            audio_channels=await self._set_up_audio(max(channels) + 1),
            session_timeout_s=timeout_s,
        )

    async def _set_up_audio(self, channel: int) -> frozenset[int]:
        """Takes audio only to drop it: a server that feeds both from one file stops when one of them is not taken
        (seen with GStreamer: video ended when 200 kB of audio had piled up). A refusal is no failure.
        """
        taken = set()
        for url in self._audio_urls:
            headers = [*self._session(), ("Transport", f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}")]
            answer = await self._request("SETUP", url, headers, accepts_refusal=True)
            if answer.status == 200:
                given = messages.interleaved_channels(answer.headers.get("Transport"))
                taken.add(given[0] if given else channel)
                channel = max(channel, *(given or (0,))) + 2
        return frozenset(taken)

    async def play(self) -> None:
        """PLAY from now on. Frames may arrive before this returns. Raises SourceFailure."""
        await self._request("PLAY", self._aggregate_url, [*self._session(), ("Range", "npt=0.000-")])

    async def keep_alive(self) -> None:
        """One sign of life. Raises SourceFailure if the camera no longer knows the session."""
        answer = await self._request(
            self._keep_alive_method, self._aggregate_url, self._session(), accepts_refusal=True
        )
        if answer.status == 454:
            raise SourceFailure(self._thing, "no longer knows our session", "The broker connects again by itself.")

    async def tear_down(self) -> None:
        """Says good-bye. Raises SourceFailure; the caller closes the connection in any case."""
        if self._session_id:
            await self._request("TEARDOWN", self._aggregate_url, self._session(), accepts_refusal=True)

    def _session(self) -> list[tuple[str, str]]:
        return [("Session", self._session_id)] if self._session_id else []

    async def _request(
        self, method: str, url: str, headers: list[tuple[str, str]], accepts_refusal: bool = False
    ) -> Response:
        for _ in range(_MAX_TRIES):
            sent = [("User-Agent", USER_AGENT), *headers]
            if self._authenticator and (authorization := self._authenticator.header(method, url)):
                sent.append(("Authorization", authorization))
            answer = await self._peer.exchange(method, url, sent)
            if answer.status == 401:
                if self._authenticator and self._authenticator.accept(answer.headers.all("WWW-Authenticate")):
                    continue
                break
            if answer.status == 200:
                if self._authenticator:
                    self._authenticator.accepted()
                return answer
            if accepts_refusal:
                return answer
            raise self._refusal(method, answer)
        if accepts_refusal and method == "OPTIONS":
            return answer
        raise self._unauthorised()

    def _unauthorised(self) -> SourceUnauthorised:
        if self._authenticator is None:
            return SourceUnauthorised(
                self._thing, "asks for a user and a password", "Give the source as rtsp://USER:PASSWORD@HOST/PATH."
            )
        return SourceUnauthorised(
            self._thing, "refuses the user or the password", "Correct the credentials in the source."
        )

    def _refusal(self, method: str, answer: Response) -> SourceFailure:
        path = urlsplit(self._source.url).path or "/"
        said = redact(f"{answer.status} {answer.reason}".strip()[:120])
        if answer.status == 403:
            return SourceUnauthorised(self._thing, "forbids this stream to this user", "Give the user that right.")
        if answer.status == 404:
            return SourceRefused(self._thing, f"has no stream at the path {path!r}", "Correct the path in the source.")
        if 300 <= answer.status < 400:
            target = redact(answer.headers.get("Location"))[:200]
            return SourceRefused(self._thing, f"has moved the stream to {target!r}", "Give that URL as the source.")
        if answer.status == 461:
            return self._no_tcp()
        if answer.status in (453, 503):
            return SourceRefused(
                self._thing, f"serves no further viewer now ({said})", "Close other connections to it."
            )
        if answer.status == 454:
            return SourceFailure(self._thing, "no longer knows our session", "The broker connects again by itself.")
        return SourceRefused(self._thing, f"answered {method} with {said!r}")

    def _no_tcp(self) -> SourceRefused:
        return SourceRefused(
            self._thing, "does not offer RTP over TCP (interleaved)", "Enable RTP over RTSP/TCP in the camera."
        )


def nonsense(source: RtspSource, received: bytes) -> SourceSpokeNonsense:
    """The failure for a peer that is no RTSP server; its first bytes tell a human what it may be."""
    start = received[:24].decode("ascii", "replace").split("\r")[0].split("\n")[0]
    shown = "".join(c if c.isprintable() else "." for c in start)
    return SourceSpokeNonsense(
        f"camera at {source.host}:{source.port}",
        f"does not speak RTSP (it said {shown!r})",
        f"Check the port; RTSP is usually on {554}.",
    )
