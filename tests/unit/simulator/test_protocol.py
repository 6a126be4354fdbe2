"""The pure parts of the camera's protocol: requests, login, reports, descriptions, faults, logs."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import log, rtcp, sdp
from simulator.auth import REALM, Digest
from simulator.clip import Clip, ClipUnit, load, save
from simulator.control import Control, ControlError
from simulator.faults import Fault, FaultError
from simulator.requests import Interleaved, Request, RequestError, RequestParser, answer
from simulator.spec import IncidentSpec, SceneSpec, SpecError

STREAM = (
    b"OPTIONS rtsp://h:1/cam-1 RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    b"$\x01\x00\x03abc"
    b"\r\n"
    b"SET_PARAMETER rtsp://h/cam-1/ RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 4\r\n\r\nbody"
    b"$\x02\x00\x00"
    b"PLAY rtsp://h/cam%2D1?x=1 RTSP/1.0\r\ncseq:3\r\nSESSION : abc;timeout=60\r\n\r\n"
)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=8))
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
@settings(max_examples=200)
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
    head, _, body = answer(200, request, {"A": "b"}, "é").partition(b"\r\n\r\n")
    assert head.startswith(b"RTSP/1.0 200 OK\r\nCSeq: 7\r\n")
    assert b"Content-Length: 2" in head
    assert body == "é".encode()


def digest_header(digest: Digest, user: str, password: str, method: str, qop: bool = False) -> str:
    nonce = digest.challenge().split('nonce="')[1].split('"')[0]
    uri = "rtsp://h/cam-1"

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    middle = f"{nonce}:00000001:abcd:auth" if qop else nonce
    response = md5(f"{md5(f'{user}:{REALM}:{password}')}:{middle}:{md5(f'{method}:{uri}')}")
    more = ', qop=auth, nc=00000001, cnonce="abcd"' if qop else ""
    return f'Digest username="{user}", realm="{REALM}", nonce="{nonce}", uri="{uri}", response="{response}"{more}'


@pytest.mark.parametrize("qop", [False, True])
def test_the_right_password_is_accepted_and_no_other(qop: bool) -> None:
    digest = Digest("anna", "s3cret")
    assert digest.accepts("PLAY", digest_header(digest, "anna", "s3cret", "PLAY", qop))
    assert not digest.accepts("SETUP", digest_header(digest, "anna", "s3cret", "PLAY", qop))
    assert not digest.accepts("PLAY", digest_header(digest, "anna", "wrong", "PLAY", qop))
    assert not digest.accepts("PLAY", digest_header(digest, "bob", "s3cret", "PLAY", qop))
    assert not digest.accepts("PLAY", digest_header(Digest("anna", "s3cret"), "anna", "s3cret", "PLAY", qop))


@pytest.mark.parametrize("header", [None, "", "Basic YW5uYTpzM2NyZXQ=", "Digest", "Digest nonce=", 'Digest uri="'])
def test_no_login_is_no_login(header: str | None) -> None:
    assert not Digest("anna", "s3cret").accepts("PLAY", header)


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
    return Clip("yard", 640, 360, 10.0, 18000, b"\x67\x42\xc0\x1e", b"\x68p", units, {"incidents": []})


def test_a_description_names_profile_and_parameter_sets_unless_told_not_to() -> None:
    text = sdp.describe(a_clip(), "127.0.0.1", sprop=True)
    assert "profile-level-id=42C01E;sprop-parameter-sets=Z0LAHg==,aHA=" in text
    assert "sprop" not in sdp.describe(a_clip(), "127.0.0.1", sprop=False)
    assert "m=video" not in sdp.describe(a_clip(), "127.0.0.1", sprop=True, audio_only=True)


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
        SceneSpec("yard", bframes=1),
        SceneSpec("yard", incidents=()), SceneSpec("yard", gop_s=1), SceneSpec("yard", delimiters=True),
    ]  # fmt: skip
    assert len({spec.key() for spec in specs}) == len(specs)


@pytest.mark.parametrize("wrong", [("burn", 0.1), ("lose", 1.5), ("lose", -1)])
def test_a_fault_nobody_can_act_out_is_refused(wrong: tuple[str, float]) -> None:
    with pytest.raises(FaultError):
        Fault(*wrong)


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
