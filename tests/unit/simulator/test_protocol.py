"""The pure parts of the camera's protocol: requests, login, reports, descriptions, faults, logs."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import audio, log, rtcp, sdp
from simulator.auth import REALM, Login
from simulator.clip import Clip, ClipUnit, load, save
from simulator.control import Control, ControlError
from simulator.faults import Fault, FaultError
from simulator.requests import Interleaved, Request, RequestError, RequestParser, answer
from simulator.spec import IncidentSpec, SceneSpec, SpecError
from simulator.traits import Traits

STREAM = (
    b"OPTIONS rtsp://h:1/cam-1 RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    b"$\x01\x00\x03abc"
    b"\r\n"
    b"SET_PARAMETER rtsp://h/cam-1/ RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 4\r\n\r\nbody"
    b"$\x02\x00\x00"
    b"PLAY rtsp://h/cam%2D1?x=1 RTSP/1.0\r\ncseq:3\r\nSESSION : abc;timeout=60\r\n\r\n"
)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=8))
@settings(deadline=None)
def test_requests_come_out_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    parser, items = RequestParser(), []
    edges = [0, *sorted(cuts), len(STREAM)]
    for a, b in pairwise(edges):
        items += parser.feed(STREAM[a:b])
    assert [item.method if isinstance(item, Request) else item for item in items] == [
        "OPTIONS", Interleaved(1, b"abc"), "SET_PARAMETER", Interleaved(2, b""), "PLAY",
    ]  # fmt: skip
    play = items[-1]
    assert isinstance(play, Request)
    assert play.path == "cam-1"
    assert play.headers["session"] == "abc;timeout=60"


@given(data=st.binary(max_size=600))
@settings(max_examples=200, deadline=None)
def test_whatever_comes_is_parsed_or_refused(data: bytes) -> None:
    parser = RequestParser()
    try:
        parser.feed(data)
        parser.feed(b"\r\n\r\n")
    except RequestError:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"\xff\xfe /x RTSP/1.0\r\n\r\n",
        b"x" * 20_000,
        b"PLAY / RTSP/1.0\r\nContent-Length: 999999999\r\n\r\n",
        b"PLAY / RTSP/1.0\r\nContent-Length: -4\r\n\r\n",
    ],
)
def test_what_is_no_rtsp_is_refused(data: bytes) -> None:
    with pytest.raises(RequestError):
        RequestParser().feed(data)


def test_an_answer_repeats_the_sequence_number_and_counts_its_body_in_bytes() -> None:
    request = Request("DESCRIBE", "rtsp://h/x", {"cseq": "7"})
    head, _, body = answer(200, request, [("A", "b")], "é").partition(b"\r\n\r\n")
    assert head.startswith(b"RTSP/1.0 200 OK\r\nCSeq: 7\r\n")
    assert b"Content-Length: 2" in head
    assert body == "é".encode()


def digest_header(
    digest: Login, user: str, password: str, method: str, qop: bool = False, count: int = 1, name: str = "md5"
) -> str:
    nonce = digest.challenges()[-1].split('nonce="')[1].split('"')[0]
    uri = "rtsp://h/cam-1"

    def hashed(text: str) -> str:
        return hashlib.new(name, text.encode()).hexdigest()

    middle = f"{nonce}:{count:08x}:abcd:auth" if qop else nonce
    response = hashed(f"{hashed(f'{user}:{REALM}:{password}')}:{middle}:{hashed(f'{method}:{uri}')}")
    more = f', qop=auth, nc={count:08x}, cnonce="abcd"' if qop else ""
    return f'Digest username="{user}", realm="{REALM}", nonce="{nonce}", uri="{uri}", response="{response}"{more}'


@pytest.mark.parametrize("qop", [False, True])
def test_the_right_password_is_accepted_and_no_other(qop: bool) -> None:
    digest = Login("anna", "s3cret", "digest-qop" if qop else "digest")
    assert digest.accepts("PLAY", digest_header(digest, "anna", "s3cret", "PLAY", qop))
    assert not digest.accepts("SETUP", digest_header(digest, "anna", "s3cret", "PLAY", qop))
    assert not digest.accepts("PLAY", digest_header(digest, "anna", "wrong", "PLAY", qop))
    assert not digest.accepts("PLAY", digest_header(digest, "bob", "s3cret", "PLAY", qop))
    assert not digest.accepts("PLAY", digest_header(Login("anna", "s3cret"), "anna", "s3cret", "PLAY", qop))


@pytest.mark.parametrize("header", [None, "", "Basic YW5uYTpzM2NyZXQ=", "Digest", "Digest nonce=", 'Digest uri="'])
def test_no_login_is_no_login(header: str | None) -> None:
    assert not Login("anna", "s3cret").accepts("PLAY", header)


def test_basic_is_accepted_where_it_is_offered_and_only_there() -> None:
    header = "Basic YW5uYTpzM2NyZXQ="
    assert Login("anna", "s3cret", "basic").accepts("PLAY", header)
    assert Login("anna", "s3cret", "both").accepts("PLAY", header)
    assert not Login("anna", "other", "basic").accepts("PLAY", header)
    assert not Login("anna", "s3cret", "basic").accepts("PLAY", "Basic ???")
    assert [one.partition(" ")[0] for one in Login("a", "b", "both").challenges()] == ["Basic", "Digest"]
    assert [one.partition(" ")[0] for one in Login("a", "b", "basic").challenges()] == ["Basic"]


def test_a_count_of_the_nonce_that_does_not_grow_is_refused() -> None:
    login = Login("anna", "s3cret", "digest-qop")
    assert login.accepts("PLAY", digest_header(login, "anna", "s3cret", "PLAY", True, 1))
    assert not login.accepts("PLAY", digest_header(login, "anna", "s3cret", "PLAY", True, 1))
    assert login.accepts("PLAY", digest_header(login, "anna", "s3cret", "PLAY", True, 2))
    assert not login.accepts("PLAY", digest_header(login, "anna", "s3cret", "PLAY", False))


def test_sha_256_is_asked_for_and_accepted_where_the_camera_wants_it() -> None:
    login = Login("anna", "s3cret", "digest-sha256")
    assert "algorithm=SHA-256" in login.challenges()[0]
    assert login.accepts("PLAY", digest_header(login, "anna", "s3cret", "PLAY", True, 1, "sha256"))
    assert not login.accepts("PLAY", digest_header(login, "anna", "s3cret", "PLAY", True, 2))


def test_a_nonce_that_was_used_up_is_called_stale_and_the_next_one_works() -> None:
    login = Login("anna", "s3cret", "digest-stale")
    for _ in range(3):
        assert login.accepts("PLAY", digest_header(login, "anna", "s3cret", "PLAY"))
    assert not login.accepts("PLAY", digest_header(login, "anna", "s3cret", "PLAY"))
    assert "stale=true" in login.challenges()[0]
    assert login.accepts("PLAY", digest_header(login, "anna", "s3cret", "PLAY"))


def test_a_sender_report_says_when_and_how_much() -> None:
    data = rtcp.sender_report(0x01020304, 1_500_000_000, 90_000, 5, 6000)
    first, kind, length, ssrc, seconds, fraction, stamp, packets, octets = struct.unpack_from(">BBHIIIIII", data)
    assert (first, kind, length, ssrc) == (0x80, 200, 6, 0x01020304)
    assert (seconds - 2_208_988_800, fraction / 2**32) == (1, pytest.approx(0.5))
    assert (stamp, packets, octets) == (90_000, 5, 6000)
    assert data[28:30] == b"\x81\xca"
    assert len(data) == 28 + 4 * (1 + struct.unpack_from(">H", data, 30)[0])


def a_clip() -> Clip:
    units = (
        ClipUnit((b"\x67\x42\xc0\x1e", b"\x68p", b"\x65a"), 0, 0, 0, True),
        ClipUnit((b"\x41b",), 9000, 9000, 1, False, True),
    )
    sets = (b"\x67\x42\xc0\x1e", b"\x68p")
    return Clip("yard", 640, 360, 10.0, 18000, units, "h264", sets, truth={"incidents": []})


def test_a_description_names_profile_and_parameter_sets_unless_told_not_to() -> None:
    text = sdp.describe(a_clip(), "127.0.0.1", Traits())
    assert "profile-level-id=42C01E;sprop-parameter-sets=Z0LAHg==,aHA=" in text
    assert "sprop" not in sdp.describe(a_clip(), "127.0.0.1", Traits(sets="stream"))
    assert "m=video" not in sdp.describe(a_clip(), "127.0.0.1", Traits(), audio_only=True)


def test_a_description_names_codec_audio_and_a_rate_that_need_not_be_true() -> None:
    sets = tuple(bytes([kind << 1, 1, 7]) for kind in (32, 33, 34))
    clip = replace(a_clip(), codec="h265", parameter_sets=sets)
    text = sdp.describe(clip, "127.0.0.1", Traits(codec="h265", claims_fps=50), audio.tone("aac"))
    assert "a=rtpmap:96 H265/90000\r\na=fmtp:96 sprop-vps=QAEH;sprop-sps=QgEH;sprop-pps=RAEH" in text
    assert "a=framerate:50" in text
    assert "a=rtpmap:97 mpeg4-generic/16000/1" in text
    assert text.count("a=control:trackID=") == 2
    bare = sdp.describe(
        replace(clip, codec="mjpeg"), "127.0.0.1", Traits(codec="mjpeg", sloppy="no-rtpmap+no-control+lf")
    )
    assert "m=video 0 RTP/AVP 26\na=framerate" in bare
    assert "control" not in bare
    assert "\r" not in bare


def test_a_clip_is_read_as_it_was_written(tmp_path: Path) -> None:
    save(a_clip(), tmp_path / "x.clip")
    assert load(tmp_path / "x.clip") == a_clip()
    assert [path.name for path in tmp_path.iterdir()] == ["x.clip"]


@pytest.mark.parametrize("size", [0, 4, 12, 40, -1])
def test_part_of_a_clip_is_no_clip(tmp_path: Path, size: int) -> None:
    save(a_clip(), tmp_path / "x.clip")
    (tmp_path / "x.clip").write_bytes((tmp_path / "x.clip").read_bytes()[:size])
    with pytest.raises(ValueError, match="not a whole clip"):
        load(tmp_path / "x.clip")


def test_the_log_gives_back_every_whole_row(tmp_path: Path) -> None:
    path = log.path_of(tmp_path, "cam-1")
    assert log.read(path) == []
    writer = log.LogWriter(path)
    writer.append(2**40, 10, 20, b"d" * 32, 3, 4, 1, 2)
    writer.append(2**40 + 1, 11, 21, b"e" * 32, 4, 4, 0, 2)
    writer.close()
    with path.open("ab") as file:
        file.write(b"half a row")
    first, second = log.read(path)
    assert first == log.SentUnit(2**40, 10, 20, b"d" * 32, 3, 4, 1, 2)
    assert second.number == 2**40 + 1


def test_a_log_that_is_continued_is_cut_to_whole_rows_and_its_numbers_go_on(tmp_path: Path) -> None:
    path = log.path_of(tmp_path, "cam-1")
    writer = log.LogWriter(path)
    assert (writer.next_number, writer.last_connection) == (0, 0)
    for number, connection in ((7, 1), (7, 2), (8, 1)):
        writer.append(number, 0, 0, bytes(32), 0, 1, 0, connection)
    writer.close()
    with path.open("ab") as file:
        file.write(b"half a row")
    again = log.LogWriter(path)
    assert (again.next_number, again.last_connection) == (9, 2)
    again.append(9, 0, 0, bytes(32), 0, 1, 0, 3)
    again.close()
    assert [row.number for row in log.read(path)] == [7, 7, 8, 9]


@pytest.mark.parametrize("text", ["intrusion", "dance@3", "running@x", "freeze@3+", "@3"])
def test_an_incident_that_cannot_be_read_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SpecError, match="KIND@START"):
        IncidentSpec.parse(text)


def test_an_incident_is_kind_start_and_length() -> None:
    assert IncidentSpec.parse("signal-lost@12.5+3") == IncidentSpec("signal-lost", 12.5, 3.0)
    assert IncidentSpec.parse("running@7") == IncidentSpec("running", 7.0, 8.0)


@pytest.mark.parametrize("wrong", [{"width": 641}, {"height": 20}, {"fps": 0}, {"loop_s": 0}, {"bframes": 9}])
def test_a_scene_nobody_can_serve_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(SpecError, match="take"):
        SceneSpec("yard", **wrong)


def test_every_parameter_changes_the_name_in_the_cache() -> None:
    specs = [
        SceneSpec("yard"), SceneSpec("gate"), SceneSpec("yard", 2), SceneSpec("yard", fps=11),
        SceneSpec("yard", bframes=1), SceneSpec("yard", codec="h265"), SceneSpec("yard", codec="mjpeg"),
        SceneSpec("yard", incidents=()), SceneSpec("yard", gop_s=1), SceneSpec("yard", delimiters=True),
    ]  # fmt: skip
    assert len({spec.key() for spec in specs}) == len(specs)


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "burn"}, {"kind": "lose", "share": 1.5}, {"kind": "lose", "share": -1}, {"kind": "burst", "by_s": 60}],
)
def test_a_fault_nobody_can_act_out_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(FaultError):
        Fault(**wrong)


@pytest.mark.parametrize(
    "request_", [{}, {"fault": "drop", "camera": "none"}, {"fault": "drop", "color": 1}, {"fault": "burn"}]
)
def test_a_wrong_control_request_is_refused(request_: dict[str, object]) -> None:
    with pytest.raises((ControlError, FaultError)):
        Control({}).act(request_)


def test_lost_packets_are_chosen_by_the_seed() -> None:
    first, again, other = (Fault("lose", 0.5, seed).dice() for seed in (1, 1, 2))
    throws = [first.random() for _ in range(20)]
    assert throws == [again.random() for _ in range(20)]
    assert throws != [other.random() for _ in range(20)]


def test_control_answers_a_line_that_is_no_json() -> None:
    async def ask() -> bytes:
        control = Control({})
        await control.start(0)
        reader, writer = await asyncio.open_connection("127.0.0.1", control.port)
        writer.write(b"hello\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        await control.close()
        return line

    assert b'"ok": false' in asyncio.run(ask())


def test_an_incident_behind_the_end_of_the_loop_is_refused() -> None:
    with pytest.raises(SpecError, match="loop ends at 10 s"):
        SceneSpec("yard", loop_s=10, incidents=(IncidentSpec("freeze", 12, 3),))
