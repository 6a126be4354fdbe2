"""The conversation that makes a camera play: OPTIONS, DESCRIBE, SETUP, PLAY, keep-alive, TEARDOWN.

Belongs here: the order of requests, and what is tried when a camera refuses one of them. Does not belong here: sockets
and bytes (`connection`, `udp`), what a refusal means (`refusals`), which stream is taken (`offer`), frames (`ingest`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from broker.errors import SourceFailure, SourceRefused, SourceUnauthorised, TransportRefused
from broker.kinds import Codec
from broker.rtsp import messages, offer, sdp, transports
from broker.rtsp.auth import Authenticator
from broker.rtsp.messages import Response
from broker.rtsp.refusals import REDIRECTS, WRONG_URL, refusal, unauthorised
from broker.rtsp.transports import Agreed
from broker.sources.notation import RtspSource
from trueframe.v1.frames_pb2 import CODEC_H264

USER_AGENT = "trueframe"
_MAX_TRIES = 3
_MAX_AUDIO_STREAMS = 4


class Peer(Protocol):
    """Whoever carries requests to the camera and brings answers back."""

    async def exchange(self, method: str, url: str, headers: list[tuple[str, str]]) -> Response:
        """Sends one request and returns its answer. Raises SourceUnreachable if none comes in time."""
        ...


@dataclass(frozen=True, slots=True)
class VideoStream:
    """What will arrive, and where. Channels matter inside the RTSP connection only, `agreed` tells of UDP."""

    clock_rate: int
    payload_type: int
    rtp_channel: int
    rtcp_channel: int
    parameter_sets: bytes
    audio_channels: frozenset[int]
    session_timeout_s: float
    codec: Codec = CODEC_H264
    agreed: Agreed = field(default_factory=Agreed)


class RtspSession:
    """One conversation with one camera over one connection."""

    def __init__(self, source: RtspSource, peer: Peer) -> None:
        self._source = source
        self.server = ""
        """What it calls itself; known after `describe`."""
        self._peer = peer
        self._authenticator = Authenticator(source.credentials) if source.credentials else None
        self._session_id = ""
        self._aggregate_urls = [source.url]
        self._video: offer.Video | None = None
        self._video_urls: list[str] = []
        self._audio_urls: list[str] = []
        self._video_url = ""
        # Signs of life that the camera takes, as far as is known, in the order of their turns; and what is tried when
        # it refuses all of these.
        self._keep_alive_methods = ["OPTIONS"]
        self._keep_alive_reserve = ["GET_PARAMETER", "SET_PARAMETER"]

    async def describe(self) -> offer.Video:
        """OPTIONS and DESCRIBE; returns the video that the broker takes. Raises SourceFailure."""
        options = await self._request("OPTIONS", self._source.url, [], accepts_refusal=True)
        public = ",".join(options.headers.all("Public")).upper()
        if options.status == 200 and "GET_PARAMETER" in public:
            self._keep_alive_methods.insert(0, "GET_PARAMETER")
            self._keep_alive_reserve.remove("GET_PARAMETER")
        answer = await self._request("DESCRIBE", self._source.url, [("Accept", "application/sdp")])
        try:
            description = sdp.parse_sdp(answer.body)
        except sdp.MalformedDescription as error:
            reason = f"describes its stream in a way that cannot be read ({error})"
            raise SourceRefused(self._source.thing, reason) from error
        self.server = "".join(c for c in answer.headers.get("Server") if c.isprintable())[:200]
        base = answer.headers.get("Content-Base") or answer.headers.get("Content-Location")
        base = base if "://" in base else self._source.url
        self._video = offer.choose(self._source.thing, description)
        sections = {media.section for media in description.media}

        def urls(media: sdp.Media) -> list[str]:
            return sdp.control_urls(base, self._source.url, description.control, media, len(sections) == 1)

        self._video_urls = urls(self._video.media)
        self._audio_urls = [urls(media)[0] for media in offer.audio_controls(description)][:_MAX_AUDIO_STREAMS]
        aggregate = sdp.on_same_host(sdp.resolve_control(base, description.control), self._source.url)
        self._aggregate_urls = list(dict.fromkeys([aggregate, self._source.url]))
        return self._video

    # ---- SETUP ------------------------------------------------------------------------------------------------------

    async def set_up_interleaved(self) -> VideoStream:
        """SETUP of the video inside this connection, and of audio beside it, which is dropped.

        Raises SourceFailure; TransportRefused if the camera offers no TCP.
        """
        try:
            answer = await self._set_up_video(transports.interleaved(0))
        except TransportRefused as error:
            raise self._no_tcp(error) from error
        agreed = transports.agreed(answer.headers.get("Transport"))
        if agreed.is_interleaved is False:
            raise self._no_tcp(None)
        channels = agreed.channels or (0, 1)
        audio = await self._set_up_audio_interleaved(max(channels) + 1)
        return self._stream(answer, agreed, channels, audio)

    async def set_up_datagrams(self, ports: tuple[int, int], audio_ports: Callable[[], tuple[int, int]]) -> VideoStream:
        """SETUP of the video over UDP to these ports of ours, and of audio to others. Raises as the other does."""
        try:
            answer = await self._set_up_video(transports.datagrams(ports))
        except TransportRefused as error:
            raise self._no_udp(error) from error
        agreed = transports.agreed(answer.headers.get("Transport"))
        if agreed.is_interleaved:
            raise self._no_udp(None)
        for url in self._audio_urls:
            headers = [*self._session(), ("Transport", transports.datagrams(audio_ports()))]
            await self._request("SETUP", url, headers, accepts_refusal=True)
        return self._stream(answer, agreed, (0, 1), frozenset())

    async def _set_up_video(self, transport: str) -> Response:
        """Tries the URLs that the stream may have, best first; the first refusal is told if none of them works."""
        first: SourceFailure | None = None
        for number, url in enumerate(self._video_urls):
            answer = await self._request("SETUP", url, [("Transport", transport)], accepts_refusal=True)
            if answer.status == 200:
                if number:
                    # The base that the camera named leads nowhere: what we asked for is the better name for it all.
                    self._aggregate_urls.reverse()
                self._aggregate_urls.append(url)
                self._video_url = url
                self._session_id, _ = messages.session_of(answer.headers.get("Session"))
                return answer
            first = first or refusal(self._source, "SETUP", answer)
            if answer.status not in WRONG_URL:
                break
        assert first is not None
        raise first

    async def _set_up_audio_interleaved(self, channel: int) -> frozenset[int]:
        """Takes audio only to drop it: a server that feeds both from one file stops when one of them is not taken
        (seen with GStreamer: video ended when 200 kB of audio had piled up). A refusal is no failure.
        """
        taken = set()
        for url in self._audio_urls:
            headers = [*self._session(), ("Transport", transports.interleaved(channel))]
            answer = await self._request("SETUP", url, headers, accepts_refusal=True)
            if answer.status == 200:
                given = transports.agreed(answer.headers.get("Transport")).channels
                taken.add(given[0] if given else channel)
                channel = max(channel, *(given or (0,))) + 2
        return frozenset(taken)

    def _stream(
        self, answer: Response, agreed: Agreed, channels: tuple[int, int], audio: frozenset[int]
    ) -> VideoStream:
        assert self._video is not None
        media = self._video.media
        return VideoStream(
            clock_rate=media.clock_rate,
            payload_type=media.payload_type,
            rtp_channel=channels[0],
            rtcp_channel=channels[1],
            parameter_sets=self._video.parameter_sets,
            audio_channels=audio,
            session_timeout_s=messages.session_of(answer.headers.get("Session"))[1],
            codec=self._video.codec,
            agreed=agreed,
        )

    # ---- PLAY and after ---------------------------------------------------------------------------------------------

    async def play(self) -> int | None:
        """PLAY from now on. Frames may arrive before this returns. Raises SourceFailure.

        Returns the sequence number that the camera says the first packet of the video has, if it does.
        """
        first: SourceFailure | None = None
        for url in self._aggregate_urls:
            answer = await self._request("PLAY", url, [*self._session(), ("Range", "npt=0.000-")], accepts_refusal=True)
            if answer.status == 457:  # A live stream has no beginning to play from, say some.
                answer = await self._request("PLAY", url, self._session(), accepts_refusal=True)
            if answer.status == 200:
                self._aggregate_urls = [url]
                said = answer.headers.all("RTP-Info")
                return messages.first_sequence(said, self._video_url, not self._audio_urls) if said else None
            first = first or refusal(self._source, "PLAY", answer)
            if answer.status not in WRONG_URL:
                break
        assert first is not None
        raise first

    async def keep_alive(self) -> None:
        """One sign of life, by a method that the camera does not refuse; without any, receiver reports must do.

        Methods take turns: some cameras answer one with 200 and let only the other count. Raises SourceFailure if the
        camera no longer knows the session.
        """
        methods = self._keep_alive_methods
        while methods or self._keep_alive_reserve:
            method = methods.pop(0) if methods else self._keep_alive_reserve.pop(0)
            try:
                answer = await self._request(method, self._aggregate_urls[0], self._session(), accepts_refusal=True)
            except SourceUnauthorised:
                # It goes on sending to those it let in; whom it does not let in any more it cuts off by itself.
                continue
            except SourceFailure:
                methods.append(method)
                raise
            if answer.status == 454:
                raise refusal(self._source, method, answer)
            if answer.status == 200:
                methods.append(method)
                return

    async def tear_down(self) -> None:
        """Says good-bye. Raises SourceFailure; the caller closes the connection in any case."""
        if self._session_id:
            await self._request("TEARDOWN", self._aggregate_urls[0], self._session(), accepts_refusal=True)

    # ---- inside -----------------------------------------------------------------------------------------------------

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
            if answer.status == 200 and self._authenticator:
                self._authenticator.accepted(answer.headers.get("Authentication-Info"))
            if answer.status == 200 or (accepts_refusal and answer.status not in REDIRECTS):
                return answer
            raise refusal(self._source, method, answer)
        if accepts_refusal and method == "OPTIONS":
            return answer
        raise unauthorised(self._source, self._authenticator is not None)

    def _no_tcp(self, said: TransportRefused | None) -> TransportRefused:
        reason = "does not offer RTP over TCP (interleaved)"
        return TransportRefused(self._source.thing, _with(reason, said), "Enable RTP over RTSP/TCP in the camera.")

    def _no_udp(self, said: TransportRefused | None) -> TransportRefused:
        reason = "does not offer RTP over UDP"
        return TransportRefused(self._source.thing, _with(reason, said), "Set the camera's transport to TCP.")


def _with(reason: str, said: TransportRefused | None) -> str:
    return f"{reason}: it {said.reason}" if said is not None and said.reason.startswith("answered") else reason
