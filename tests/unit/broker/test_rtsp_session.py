"""The conversation with a camera, answered by a table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from broker.errors import SourceFailure, SourceRefused, SourceUnauthorised, StreamMoved, TransportRefused
from broker.rtsp.messages import Headers, Response
from broker.rtsp.session import RtspSession
from broker.sources.notation import RtspSource, parse_source

SDP = (
    "v=0\r\ns=x\r\na=control:*\r\n"
    "m=audio 0 RTP/AVP 0\r\na=control:track1\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track2\r\n"
)
Answers = Callable[[str, str, dict[str, str]], Response]


def answer(status: int = 200, reason: str = "OK", body: str = "", **headers: str) -> Response:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Response(status, reason, Headers(pairs), body.encode())


class Camera:
    """Answers as the table says, and remembers what it was asked."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    async def exchange(self, method: str, url: str, headers: list[tuple[str, str]]) -> Response:
        self.asked.append((method, url, dict(headers)))
        return self._answers(method, url, dict(headers))

    def urls(self, method: str) -> list[str]:
        return [url for asked, url, _ in self.asked if asked == method]


def ordinary(method: str, url: str, headers: dict[str, str]) -> Response:
    match method:
        case "OPTIONS":
            return answer(Public="OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER")
        case "DESCRIBE":
            return answer(body=SDP, Content_Base="rtsp://10.0.0.9/live/")
        case "SETUP":
            return answer(Session="42;timeout=30", Transport="RTP/AVP/TCP;unicast;interleaved=4-5")
        case _:
            return answer()


def but(method: str, response: Response) -> Answers:
    return lambda asked, url, headers: response if asked == method else ordinary(asked, url, headers)


def session(camera: Camera, source: str = "rtsp://gate.example/live") -> RtspSession:
    parsed = parse_source(source)
    assert isinstance(parsed, RtspSource)
    return RtspSession(parsed, camera)


async def test_a_camera_is_made_to_play_and_its_audio_is_taken_to_be_dropped() -> None:
    camera = Camera(
        lambda method, url, headers: (
            answer(Session="42", Transport="RTP/AVP/TCP;unicast;interleaved=6-7")
            if url.endswith("track1")
            else ordinary(method, url, headers)
        )
    )
    talk = session(camera)
    await talk.describe()
    stream = await talk.set_up_interleaved()
    await talk.play()
    await talk.keep_alive()
    await talk.tear_down()
    assert [method for method, _, _ in camera.asked] == [
        "OPTIONS",
        "DESCRIBE",
        "SETUP",
        "SETUP",
        "PLAY",
        "GET_PARAMETER",
        "TEARDOWN",
    ]
    video, audio = camera.urls("SETUP")
    assert video == "rtsp://gate.example/live/track2", "below Content-Base, by the name we know"
    assert audio == "rtsp://gate.example/live/track1"
    assert camera.urls("PLAY") == ["rtsp://gate.example/live/"]
    assert all(headers.get("Session") == "42" for method, _, headers in camera.asked[4:])
    assert (stream.rtp_channel, stream.rtcp_channel, stream.session_timeout_s) == (4, 5, 30.0)
    assert stream.audio_channels == {6}


async def test_audio_that_is_refused_leaves_the_video_as_it_is() -> None:
    camera = Camera(
        lambda method, url, headers: (
            answer(461, "Unsupported Transport") if url.endswith("track1") else ordinary(method, url, headers)
        )
    )
    talk = session(camera)
    await talk.describe()
    stream = await talk.set_up_interleaved()
    assert (stream.rtp_channel, stream.audio_channels) == (4, frozenset())


async def test_options_keeps_alive_where_get_parameter_is_not_offered() -> None:
    camera = Camera(but("OPTIONS", answer(Public="DESCRIBE, SETUP, PLAY, OPTIONS")))
    talk = session(camera)
    await talk.describe()
    await talk.set_up_interleaved()
    await talk.keep_alive()
    assert camera.asked[-1][0] == "OPTIONS"


async def test_signs_of_life_take_turns_because_some_cameras_count_only_one_of_them() -> None:
    camera = Camera(ordinary)
    talk = session(camera)
    await talk.describe()
    await talk.set_up_interleaved()
    before = len(camera.asked)
    for _ in range(4):
        await talk.keep_alive()
    assert [method for method, _, _ in camera.asked[before:]] == ["GET_PARAMETER", "OPTIONS"] * 2


async def test_a_sign_of_life_that_is_refused_is_replaced_by_another_and_in_the_end_by_none() -> None:
    def deaf(method: str, url: str, headers: dict[str, str]) -> Response:
        if "Session" in headers and method in ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER"):
            return answer(501, "Not Implemented")
        return ordinary(method, url, headers)

    camera = Camera(deaf)
    talk = session(camera)
    await talk.describe()
    await talk.set_up_interleaved()
    before = len(camera.asked)
    await talk.keep_alive()
    await talk.keep_alive()
    assert [method for method, _, _ in camera.asked[before:]] == ["GET_PARAMETER", "OPTIONS", "SET_PARAMETER"]


async def test_a_challenge_is_answered_once_and_then_without_being_asked() -> None:
    def locked(method: str, url: str, headers: dict[str, str]) -> Response:
        if method != "OPTIONS" and "Authorization" not in headers:
            return answer(401, "Unauthorized", WWW_Authenticate='Digest realm="r", nonce="n"')
        return ordinary(method, url, headers)

    camera = Camera(locked)
    talk = session(camera, "rtsp://u:p@gate.example/live")
    await talk.describe()
    await talk.set_up_interleaved()
    assert [method for method, _, _ in camera.asked] == ["OPTIONS", "DESCRIBE", "DESCRIBE", "SETUP", "SETUP"]


@pytest.mark.parametrize(("credentials", "asked"), [("", 1), ("u:p@", 2)])
async def test_a_login_that_is_refused_is_not_tried_for_ever(credentials: str, asked: int) -> None:
    camera = Camera(but("DESCRIBE", answer(401, "No", WWW_Authenticate='Digest realm="r", nonce="n"')))
    with pytest.raises(SourceUnauthorised):
        await session(camera, f"rtsp://{credentials}gate.example/live").describe()
    assert len(camera.urls("DESCRIBE")) == asked


@pytest.mark.parametrize(
    ("response", "kind", "text"),
    [
        (answer(403, "Forbidden"), SourceUnauthorised, "forbids"),
        (answer(404, "Not Found"), SourceRefused, "no stream at the path '/live'"),
        (
            answer(302, "Moved", Location="rtsp://u:hidden@other/x"),
            SourceRefused,
            "moved the stream to 'rtsp://other/x'",
        ),
        (answer(453, "Not Enough Bandwidth"), SourceRefused, "no further viewer"),
        (answer(503, "Service Unavailable"), SourceRefused, "no further viewer"),
        (answer(500, "Oops"), SourceRefused, "answered DESCRIBE with '500 Oops'"),
        (answer(body="<html>"), SourceRefused, "cannot be read"),
        (answer(body="v=0\r\ns=x\r\n"), SourceRefused, "offers no video"),
        (answer(body="v=0\r\nm=video 0 RTP/AVP 33\r\n"), SourceRefused, "an MPEG transport stream"),
        (
            answer(body="v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=2\r\n"),
            SourceRefused,
            "interleaved packetization",
        ),
    ],
)
async def test_a_refusal_says_what_and_what_helps(response: Response, kind: type[SourceFailure], text: str) -> None:
    with pytest.raises(kind, match=text) as caught:
        await session(Camera(but("DESCRIBE", response))).describe()
    assert "gate.example" in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "response", [answer(461, "Unsupported Transport"), answer(Session="1", Transport="RTP/AVP;unicast;client_port=1-2")]
)
async def test_a_camera_without_interleaving_is_refused_by_name(response: Response) -> None:
    talk = session(Camera(but("SETUP", response)))
    await talk.describe()
    with pytest.raises(TransportRefused, match="RTP over TCP"):
        await talk.set_up_interleaved()


async def test_a_session_that_the_camera_forgot_is_a_failure() -> None:
    talk = session(Camera(but("GET_PARAMETER", answer(454, "Session Not Found"))))
    await talk.describe()
    await talk.set_up_interleaved()
    with pytest.raises(SourceFailure, match="no longer knows our session"):
        await talk.keep_alive()


async def test_a_base_that_leads_nowhere_is_left_for_the_url_that_was_asked_for() -> None:
    def misled(method: str, url: str, headers: dict[str, str]) -> Response:
        if method == "DESCRIBE":
            return answer(body=SDP, Content_Base="rtsp://10.0.0.9/nowhere/")
        if "/nowhere/" in url:
            return answer(404, "Not Found")
        return ordinary(method, url, headers)

    camera = Camera(misled)
    talk = session(camera)
    await talk.describe()
    await talk.set_up_interleaved()
    await talk.play()
    await talk.keep_alive()
    assert camera.urls("SETUP")[:2] == ["rtsp://gate.example/nowhere/track2", "rtsp://gate.example/live/track2"]
    assert camera.urls("PLAY") == ["rtsp://gate.example/live"]
    assert camera.urls("GET_PARAMETER") == ["rtsp://gate.example/live"]


async def test_where_only_the_track_may_be_played_it_is_played() -> None:
    def picky(method: str, url: str, headers: dict[str, str]) -> Response:
        if method == "PLAY" and not url.endswith("track2"):
            return answer(459, "Aggregate Operation Not Allowed")
        return ordinary(method, url, headers)

    camera = Camera(picky)
    talk = session(camera)
    await talk.describe()
    await talk.set_up_interleaved()
    await talk.play()
    assert camera.urls("PLAY")[-1] == "rtsp://gate.example/live/track2"


async def test_a_stream_without_a_beginning_is_played_without_a_range() -> None:
    camera = Camera(
        lambda method, url, headers: (
            answer(457, "Invalid Range") if "Range" in headers else ordinary(method, url, headers)
        )
    )
    talk = session(camera)
    await talk.describe()
    await talk.set_up_interleaved()
    await talk.play()
    assert ["Range" in headers for method, _, headers in camera.asked if method == "PLAY"] == [True, False]


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
async def test_a_redirect_is_told_whenever_it_comes(method: str) -> None:
    talk = session(Camera(but(method, answer(302, "Moved", Location="rtsp://u:hidden@other/x"))))

    async def until_it_plays() -> None:
        await talk.describe()
        await talk.set_up_interleaved()
        await talk.play()

    with pytest.raises(StreamMoved, match="moved the stream to 'rtsp://other/x'") as caught:
        await until_it_plays()
    assert caught.value.location == "rtsp://u:hidden@other/x"
    assert "hidden" not in str(caught.value)


async def test_a_redirect_to_nowhere_is_a_refusal() -> None:
    with pytest.raises(SourceRefused, match="does not say where to") as caught:
        await session(Camera(but("DESCRIBE", answer(302, "Moved")))).describe()
    assert not isinstance(caught.value, StreamMoved)


async def test_over_udp_ports_are_asked_for_and_audio_goes_to_ports_of_its_own() -> None:
    camera = Camera(
        but("SETUP", answer(Session="42", Transport="RTP/AVP;unicast;client_port=5000-5001;server_port=7000-7001"))
    )
    talk = session(camera)
    await talk.describe()
    stream = await talk.set_up_datagrams((5000, 5001), lambda: (5002, 5003))
    wishes = [headers["Transport"] for method, _, headers in camera.asked if method == "SETUP"]
    assert wishes == ["RTP/AVP;unicast;client_port=5000-5001", "RTP/AVP;unicast;client_port=5002-5003"]
    assert stream.agreed.server_ports == (7000, 7001)


@pytest.mark.parametrize(
    "response",
    [
        answer(461, "Unsupported Transport"),
        answer(400, "Bad Request"),
        answer(501, "Not Implemented"),
        answer(Session="1", Transport="RTP/AVP/TCP;interleaved=0-1"),
    ],
)
async def test_a_camera_without_udp_says_so(response: Response) -> None:
    talk = session(Camera(but("SETUP", response)))
    await talk.describe()
    with pytest.raises(TransportRefused, match="RTP over UDP"):
        await talk.set_up_datagrams((5000, 5001), lambda: (5002, 5003))


@pytest.mark.parametrize(
    ("status", "kind"), [(403, SourceUnauthorised), (404, SourceRefused), (453, SourceRefused), (454, SourceFailure)]
)
async def test_a_refusal_that_no_other_transport_would_heal_is_none_of_the_transport(
    status: int, kind: type[SourceFailure]
) -> None:
    talk = session(Camera(but("SETUP", answer(status, "No"))))
    await talk.describe()
    with pytest.raises(kind) as caught:
        await talk.set_up_interleaved()
    assert not isinstance(caught.value, TransportRefused)


async def test_a_login_that_is_asked_for_again_by_a_sign_of_life_ends_nothing() -> None:
    def forgetful(method: str, url: str, headers: dict[str, str]) -> Response:
        return answer(401, "Who?") if method == "GET_PARAMETER" else ordinary(method, url, headers)

    camera = Camera(forgetful)
    talk = session(camera)
    await talk.describe()
    await talk.set_up_interleaved()
    await talk.keep_alive()
    assert camera.asked[-1][0] == "OPTIONS"


BOTH = "url=rtsp://10.0.0.9/live/track1;seq=7;rtptime=1,url=rtsp://10.0.0.9/live/track2;seq=4242;rtptime=90000"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (BOTH, 4242),
        ("url=track1;seq=7, url=track2;seq=4242", 4242),
        ('URL="rtsp://other.host:8554/live/track2?token=a,b";SEQ=0', 0),
        ("url=rtsp://10.0.0.9/live/track2;rtptime=90000;seq=65535", 65535),
        ("url=rtsp://10.0.0.9/live/track2;rtptime=90000", None),
        ("url=rtsp://10.0.0.9/live/track2;seq=many", None),
        ("url=rtsp://10.0.0.9/live/track2;seq=-1", None),
        ("url=rtsp://10.0.0.9/live/track2;seq=123456", None),
        ("url=rtsp://10.0.0.9/live/rack2;seq=5", None),
        ("url=rtsp://10.0.0.9/live;seq=5", None),
        ("url=track2;seq=1,url=track2;seq=2", None),
        ("seq=5", None),
        ("", None),
        (",;=,url=,;seq=1", None),
    ],
)
async def test_the_first_packets_number_is_read_from_what_play_is_answered_with(
    said: str, expected: int | None
) -> None:
    camera = Camera(but("PLAY", answer(RTP_Info=said)))
    talk = session(camera)
    await talk.describe()
    await talk.set_up_interleaved()
    assert await talk.play() == expected


async def test_one_stream_alone_needs_no_url_that_fits() -> None:
    only_video = SDP.replace("m=audio 0 RTP/AVP 0\r\na=control:track1\r\n", "")

    def answers(method: str, url: str, headers: dict[str, str]) -> Response:
        if method == "DESCRIBE":
            return answer(body=only_video)
        return answer(RTP_Info="url=;seq=31") if method == "PLAY" else ordinary(method, url, headers)

    talk = session(Camera(answers))
    await talk.describe()
    await talk.set_up_interleaved()
    assert await talk.play() == 31
