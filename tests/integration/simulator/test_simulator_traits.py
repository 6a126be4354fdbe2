"""What each trait does on the wire, as a client without any goodwill sees it."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from itertools import islice, pairwise

import pytest

from simulator import sei, testing
from simulator.testing import Simulator, SimulatorFailed
from tests.integration.simulator.raw_rtsp import Answer, RawRtsp

TRAITS = {
    "cam-1": "transport=tcp",
    "cam-2": "transport=udp",
    "cam-3": "redirect=path",
    "cam-4": "redirect=port",
    "cam-5": "redirect=tls",
    "cam-6": "redirect=loop",
    "cam-7": "scheme=rtsps,redirect=plain",
    "cam-8": "scheme=rtsps",
    "cam-9": "keepalive=options,timeout_s=1",
    "cam-10": "keepalive=get_parameter,timeout_s=1",
    "cam-11": "sloppy=base",
    "cam-12": "sloppy=base-path",
    "cam-13": "sloppy=no-base+no-control",
    "cam-14": "sloppy=no-cseq+case",
    "cam-15": "sloppy=lf",
    "cam-16": "sloppy=no-rtpinfo+no-transport-ports",
    "cam-17": "sloppy=junk",
    "cam-18": "sloppy=junk-bytes",
    "cam-19": "marker=no",
    "cam-20": "onvif=yes,clock_offset_s=100,drift_ppm=20000",
    "cam-21": "claims_fps=99,audio=pcmu",
    "cam-22": "auth=basic",
    "cam-23": "auth=both",
    "cam-24": "scheme=https,codec=mjpeg,size=160x96",
}
LOGIN = ("anna", "s3cret")
TCP = "RTP/AVP/TCP;unicast;interleaved=0-1"


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    arguments = ("--auth", ":".join(LOGIN), "--scenes", "yard")
    traits = {"*": "auth=none", **TRAITS}
    with testing.running(len(TRAITS), fps=25, loop_s=4, traits=traits, arguments=arguments) as running:
        yield running


@pytest.mark.parametrize(
    ("camera", "accepted", "refused"),
    [
        ("cam-1", TCP, "RTP/AVP;unicast;client_port=50000-50001"),
        ("cam-2", "RTP/AVP;unicast;client_port=50000-50001", TCP),
    ],
)
def test_a_camera_of_one_transport_answers_461_to_the_other(
    sim: Simulator, camera: str, accepted: str, refused: str
) -> None:
    with RawRtsp(sim.urls[camera]) as client:
        assert client.ask("SETUP", client.url + "/trackID=0", Transport=refused).status == 461
        assert client.ask("SETUP", client.url + "/trackID=0", Transport=accepted).status == 200


def test_redirects_lead_to_another_path_port_or_to_themselves(sim: Simulator) -> None:
    for camera in ("cam-3", "cam-4", "cam-6"):
        with RawRtsp(sim.urls[camera]) as client:
            answer = client.ask("DESCRIBE")
        assert answer.status == 302
        location = answer.headers["location"]
        if camera == "cam-6":
            assert location == sim.urls[camera]
            continue
        assert (f":{sim.port}/" in location) == (camera == "cam-3")
        with RawRtsp(location) as client:
            client.play()
            assert sei.read(next(client.units())[0])


def test_redirects_lead_to_tls_and_away_from_it(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-5"]) as client:
        assert client.ask("DESCRIBE").headers["location"] == f"rtsps://127.0.0.1:{sim.ready['tls_port']}/cam-5"
        assert client.ask("DESCRIBE", f"rtsp://127.0.0.1:{sim.port}/cam-5").status == 403
    answer = over_tls(sim, sim.urls["cam-7"])
    assert b" 302 " in answer
    assert f"Location: rtsp://127.0.0.1:{sim.port}/cam-7".encode() in answer


def test_tls_shows_the_certificate_that_the_ready_line_names_and_the_plain_port_refuses(sim: Simulator) -> None:
    assert sim.urls["cam-8"].startswith("rtsps://")
    assert b"m=video" in over_tls(sim, sim.urls["cam-8"])
    with RawRtsp(f"rtsp://127.0.0.1:{sim.port}/cam-8") as client:
        assert client.ask("DESCRIBE").status == 403
    assert re.match(r"https://127\.0\.0\.1:\d+/cam-24$", sim.urls["cam-24"])


def over_tls(sim: Simulator, url: str) -> bytes:
    """The answer to DESCRIBE over a connection whose certificate has the fingerprint that was told."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", sim.ready["tls_port"]), timeout=5)
    with context.wrap_socket(plain) as secure:
        assert hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest() == sim.tls_sha256
        secure.sendall(f"DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        data = secure.recv(65536)
        while b"\r\n\r\n" not in data or (b"200 OK" in data and b"trackID" not in data):
            data += secure.recv(65536)
    return data


@pytest.mark.parametrize(
    ("camera", "wanted", "refused"), [("cam-9", "OPTIONS", "GET_PARAMETER"), ("cam-10", "GET_PARAMETER", "OPTIONS")]
)
def test_only_the_wanted_method_keeps_a_session_alive(sim: Simulator, camera: str, wanted: str, refused: str) -> None:
    with RawRtsp(sim.urls[camera]) as client:
        client.play()
        for _ in range(4):
            time.sleep(0.6)
            assert client.ask(refused).status == 501
            assert client.ask(wanted).status == 200
    with RawRtsp(sim.urls[camera]) as client:
        client.play()
        began = time.monotonic()
        client.ask(refused)
        assert client.is_closed(within_s=5)
        assert time.monotonic() - began < 3


def describe(sim: Simulator, camera: str) -> Answer:
    with RawRtsp(sim.urls[camera]) as client:
        return client.ask("DESCRIBE")


def test_a_base_may_lead_nowhere_or_be_absent(sim: Simulator) -> None:
    assert describe(sim, "cam-11").headers["content-base"] == "rtsp://192.0.2.77:554/cam-11/"
    base = describe(sim, "cam-12").headers["content-base"]
    with RawRtsp(sim.urls["cam-12"]) as client:
        assert client.ask("SETUP", base + "trackID=0", Transport=TCP).status == 404
        assert client.ask("SETUP", sim.urls["cam-12"] + "/trackID=0", Transport=TCP).status == 200
    bare = describe(sim, "cam-13")
    assert "content-base" not in bare.headers
    assert "control" not in bare.body
    with RawRtsp(sim.urls["cam-13"]) as client:
        assert client.ask("SETUP", sim.urls["cam-13"], Transport=TCP).status == 200


def test_answers_may_be_written_badly(sim: Simulator) -> None:
    assert asked_raw(sim, "cam-14").startswith(b"RTSP/1.0 200 OK\r\nsERVER :   trueframe-simulator \r\ncONTENT-tYPE :")
    assert b"seq" not in asked_raw(sim, "cam-14").lower().partition(b"v=0")[0]
    assert b"\r" not in asked_raw(sim, "cam-15")
    with RawRtsp(sim.urls["cam-16"]) as client:
        setup = client.ask("SETUP", client.url + "/trackID=0", Transport=TCP)
        client.session = setup.headers["session"].partition(";")[0]
        assert setup.headers["transport"] == "RTP/AVP/TCP;unicast"
        assert "rtp-info" not in client.ask("PLAY").headers


def asked_raw(sim: Simulator, camera: str) -> bytes:
    with socket.create_connection(("127.0.0.1", sim.port), timeout=5) as connection:
        connection.sendall(f"DESCRIBE {sim.urls[camera]} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        data = b""
        while b"trackID=0" not in data:
            data += connection.recv(65536)
    return data


def stream_bytes(sim: Simulator, camera: str, size: int) -> bytes:
    """What comes after the answer to PLAY."""
    with RawRtsp(sim.urls[camera]) as client:
        client.play()
        return client.read_raw(size)


def test_junk_comes_on_channels_that_nobody_set_up(sim: Simulator) -> None:
    data, channels = stream_bytes(sim, "cam-17", 80_000), set()
    at = 0
    while at + 4 <= len(data):
        assert data[at] == 0x24
        channels.add(data[at + 1])
        at += 4 + int.from_bytes(data[at + 2 : at + 4], "big")
    assert channels == {0, 1, 201}


def test_stray_bytes_come_between_packets(sim: Simulator) -> None:
    data = stream_bytes(sim, "cam-18", 80_000)
    strays, at = 0, 0
    while 0 <= at < len(data) - 4:
        if data[at] != 0x24:
            strays += 1
            at = data.find(b"$", at)
            continue
        assert data[at + 1] in (0, 1)
        at += 4 + int.from_bytes(data[at + 2 : at + 4], "big")
    assert strays > 5


def test_a_camera_may_never_set_the_marker(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-19"]) as client:
        client.play()
        packets = list(islice(client.packets(), 60))
    assert not any(packet[1] & 0x80 for packet in packets)
    assert len({packet[4:8] for packet in packets}) > 5


def test_the_header_extension_tells_the_time_that_reports_tell(sim: Simulator) -> None:
    reports: list[tuple[int, int]] = []
    times: dict[int, int] = {}
    with RawRtsp(sim.urls["cam-20"]) as client:
        client.play()
        for packet in client.packets(None):
            if 200 <= packet[1] <= 204:
                seconds, fraction, stamp = struct.unpack_from(">III", packet, 8)
                reports.append((seconds << 32 | fraction, stamp))
            elif packet[0] & 0x10:
                assert packet[12:16] == bytes.fromhex("abac0003")
                times[int.from_bytes(packet[4:8], "big")] = int.from_bytes(packet[16:24], "big")
                assert bool(packet[24] & 0x80) == (packet[28] & 31 in (7, 9))  # a clean point begins with its sets
            if len(reports) == 3:
                break
    rtp_of_report = [(stamp - reports[0][1]) / 90_000 for _, stamp in reports]
    ntp_of_report = [(ntp - reports[0][0]) / 2**32 for ntp, _ in reports]
    assert ntp_of_report == pytest.approx(rtp_of_report, abs=0.001)
    for stamp, ntp in times.items():
        since = ((stamp - reports[0][1] + 2**31) % 2**32 - 2**31) / 90_000
        assert (ntp - reports[0][0]) / 2**32 == pytest.approx(since, abs=0.001)
    wrong_by_s = reports[-1][0] / 2**32 - 2_208_988_800 - time.time()
    assert 99 < wrong_by_s < 110
    assert len(times) > 40


def test_a_drifting_camera_counts_faster_than_time_passes(sim: Simulator) -> None:
    points = []
    with RawRtsp(sim.urls["cam-20"]) as client:
        client.play()
        for packet in client.packets(1):
            points.append((time.monotonic(), int.from_bytes(packet[16:20], "big")))
            if len(points) == 4:
                break
    elapsed_s = points[-1][0] - points[0][0]
    assert (points[-1][1] - points[0][1]) % 2**32 / 90_000 / elapsed_s == pytest.approx(1.02, abs=0.015)


def test_the_description_may_lie_about_the_rate_and_audio_comes_only_if_it_is_set_up(sim: Simulator) -> None:
    body = describe(sim, "cam-21").body
    assert "a=framerate:99" in body
    assert body.count("m=") == 2
    with RawRtsp(sim.urls["cam-21"]) as client:
        client.ask("SETUP", client.url + "/trackID=1", Transport="RTP/AVP/TCP;unicast;interleaved=2-3")
        assert client.ask("PLAY").status == 454  # a session needs its id
        setup = client.ask("SETUP", client.url + "/trackID=0", Transport=TCP)
        client.session = setup.headers["session"].partition(";")[0]
        audio = client.ask("SETUP", client.url + "/trackID=1", Transport="RTP/AVP/TCP;unicast;interleaved=2-3")
        assert audio.headers["session"].partition(";")[0] == client.session
        client.ask("PLAY")
        packets = list(islice(client.packets(2), 25))
        assert next(client.packets(0))
    assert {len(packet) for packet in packets} == {172}
    sequence = [int.from_bytes(packet[2:4], "big") for packet in packets]
    assert [(b - a) % 65536 for a, b in pairwise(sequence)] == [1] * 24


def test_logins_are_asked_for_as_the_camera_likes(sim: Simulator) -> None:
    assert describe(sim, "cam-22").headers["www-authenticate"].startswith("Basic")
    good, bad = "Basic YW5uYTpzM2NyZXQ=", "Basic YW5uYTp3cm9uZw=="
    for camera in ("cam-22", "cam-23"):
        with RawRtsp(sim.urls[camera]) as client:
            assert client.ask("DESCRIBE", Authorization=bad).status == 401
            assert client.ask("DESCRIBE", Authorization=good).status == 200
    assert describe(sim, "cam-1").status == 200


@pytest.mark.parametrize(
    ("traits", "reason"),
    [
        ({"cam-1": "codec=vp8"}, "codec"),
        ({"cam-1": "sloppy=rude"}, "rude"),
        ({"cam-1": "scheme=http"}, "mjpeg only"),
        ({"cam-1": "bframes=many"}, "bframes"),
        ({"cam-1": "colour=red"}, "colour"),
        ({"cam-1": "codec=mjpeg,size=4000x2000"}, "2040"),
        ({"cam-9": "codec=h265"}, "unknown"),
    ],
)
def test_traits_that_nobody_can_have_are_refused_with_the_reason(
    traits: dict[str, str], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SimulatorFailed):
        testing.running(1, loop_s=0.5, traits=traits).__enter__()
    assert reason in capfd.readouterr().err
