"""The simulator as a real process: protocol, several viewers, pace, faults."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from simulator import log, sei, testing
from simulator.__main__ import main
from simulator.testing import Simulator
from tests.integration.simulator.raw_rtsp import RawRtsp
from tests.support import until


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with testing.running(4, fps=25, loop_s=4, gop_s=0.4) as running:
        yield running


@pytest.fixture(autouse=True)
def healthy(sim: Simulator) -> Iterator[None]:
    yield
    sim.fault("*", "none")


def number_of(payload: bytes) -> int:
    return sei.read(payload)[0]


def test_a_camera_goes_on_counting_with_nobody_connected_and_logs_nothing(sim: Simulator) -> None:
    before = sim.status()["cam-4"]["number"]
    until(lambda: sim.status()["cam-4"]["number"] >= before + 10, 5)
    assert sim.log("cam-4") == []


def test_a_connection_begins_at_a_join_point_with_the_announced_packet(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-1"]) as client:
        answer = client.ask("SETUP", client.url + "/trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=4-5")
        assert answer.headers["transport"] == "RTP/AVP/TCP;unicast;interleaved=4-5"
        client.session = answer.headers["session"].partition(";")[0]
        info = client.ask("PLAY").headers["rtp-info"]
        packet = next(client.packets(4))
        assert f"seq={int.from_bytes(packet[2:4], 'big')};rtptime={int.from_bytes(packet[4:8], 'big')}" in info
    row = until(lambda: sim.log("cam-1"), 5)[-1]
    assert row.frame_in_loop % 10 == 0


def test_two_viewers_get_the_same_units_and_are_counted(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-2"]) as one, RawRtsp(sim.urls["cam-2"]) as other:
        one.play()
        other.play()
        first = {number_of(unit): unit for unit, _ in islice(one.units(), 30)}
        second = {number_of(unit): unit for unit, _ in islice(other.units(), 30)}
        assert sim.status()["cam-2"]["viewers"] == 2
    common = set(first) & set(second)
    assert len(common) >= 15
    assert all(first[number] == second[number] for number in common)
    until(lambda: sim.status()["cam-2"]["viewers"] == 0, 5)
    rows = sim.log("cam-2")
    assert {row.connection for row in rows} >= {1, 2}
    told = {(row.connection, row.number): row.digest for row in rows}
    assert all(told[1, number] == hashlib.sha256(unit).digest() for number, unit in first.items())


def test_sender_reports_tie_the_camera_clock_to_utc_about_once_a_second(sim: Simulator) -> None:
    reports: list[tuple[float, int]] = []
    stamps: list[tuple[int, int]] = []
    with RawRtsp(sim.urls["cam-1"]) as client:
        client.play()
        for packet in client.packets(None):
            if packet[1] == 200:
                seconds, fraction, stamp = struct.unpack_from(">III", packet, 8)
                reports.append((seconds - 2_208_988_800 + fraction / 2**32, stamp))
                assert abs(reports[-1][0] - time.time()) < 1
            elif packet[1] & 0x80:
                stamps.append((time.time_ns(), int.from_bytes(packet[4:8], "big")))
            if len(reports) == 3:
                break
    for (a_s, a_stamp), (b_s, b_stamp) in pairwise(reports):
        assert 0.9 < b_s - a_s < 1.6
        assert ((b_stamp - a_stamp) & 0xFFFFFFFF) / 90_000 == pytest.approx(b_s - a_s, abs=0.001)
    sent_ns, stamp = stamps[-1]
    behind = ((reports[-1][1] - stamp + 2**31) & 0xFFFFFFFF) - 2**31
    assert abs(reports[-1][0] - behind / 90_000 - sent_ns / 1e9) < 0.5


def test_wrong_requests_get_the_status_that_says_why(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-1"]) as client:
        assert "PLAY" in client.ask("OPTIONS").headers["public"]
        assert client.ask("DESCRIBE", client.url + "x").status == 404
        assert client.ask("DESCRIBE").status == 200
        assert client.ask("PLAY", Session="none").status == 454
        assert client.ask("GET_PARAMETER", Session="none").status == 454
        assert client.ask("SETUP", Transport="RTP/AVP;multicast;client_port=1-2").status == 461
        assert client.ask("RECORD").status == 501
        client.play()
        assert client.ask("GET_PARAMETER").status == 200
        assert client.ask("PAUSE").status == 200
        until(lambda: sim.status()["cam-1"]["viewers"] == 0, 5)
        assert client.ask("PLAY").status == 200
        assert client.ask("TEARDOWN").status == 200
        assert client.ask("PLAY").status == 454


def test_what_is_no_rtsp_ends_the_connection_and_nothing_else(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-1"]) as good, socket.create_connection(("127.0.0.1", sim.port)) as bad:
        good.play()
        bad.sendall(b"GET / HTTP/1.1\r\n\r\n")
        bad.settimeout(5)
        assert bad.recv(10) == b""
        assert number_of(next(good.units())[0]) >= 0


def test_drop_cuts_once(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-1"]) as client:
        client.play()
        next(client.units())
        sim.fault("cam-1", "drop")
        assert client.is_closed()
    with RawRtsp(sim.urls["cam-1"]) as client:
        client.play()
        assert number_of(next(client.units())[0]) > 0


def test_stall_sends_nothing_but_answers_and_the_numbers_pass(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-1"]) as client:
        client.play()
        units = client.units()
        before = number_of(next(units)[0])
        sim.fault("cam-1", "stall")
        assert client.ask("GET_PARAMETER").status == 200
        stalled = sim.status()["cam-1"]["number"]
        until(lambda: sim.status()["cam-1"]["number"] > stalled + 10, 5)
        sim.fault("cam-1", "none")
        numbers = [number_of(unit) for unit, _ in islice(units, 30)]
    assert numbers[0] > before
    jump = max(b - a for a, b in pairwise([before, *numbers]))
    assert jump > 10
    logged = [row.number for row in sim.log("cam-1") if row.number >= before]
    assert max(b - a for a, b in pairwise(logged)) == jump


def test_hang_answers_nothing(sim: Simulator) -> None:
    sim.fault("cam-3", "hang")
    with RawRtsp(sim.urls["cam-3"], timeout_s=0.3) as client, pytest.raises(TimeoutError):
        client.ask("DESCRIBE")


def test_refuse_cuts_and_answers_503_until_healed(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-1"]) as client:
        client.play()
        sim.fault("cam-1", "refuse", for_s=0.5)
        assert client.is_closed()
    with RawRtsp(sim.urls["cam-1"]) as client:
        assert client.ask("DESCRIBE").status == 503
    with RawRtsp(sim.urls["cam-2"]) as client:
        assert client.ask("DESCRIBE").status == 200
    until(lambda: sim.status()["cam-1"]["fault"] == "none", 5)
    with RawRtsp(sim.urls["cam-1"]) as client:
        assert client.ask("DESCRIBE").status == 200


def test_a_stopped_camera_answers_nobody_and_goes_on_where_it_would_be(sim: Simulator) -> None:
    sim.fault("cam-3", "stop")
    before = sim.status()["cam-3"]["number"]
    with RawRtsp(sim.urls["cam-3"]) as client, pytest.raises((EOFError, ConnectionError)):
        client.ask("OPTIONS")
    sim.fault("cam-3", "none")
    with RawRtsp(sim.urls["cam-3"]) as client:
        client.play()
        assert number_of(next(client.units())[0]) >= before


def test_audio_only_describes_no_video(sim: Simulator) -> None:
    sim.fault("cam-3", "audio-only")
    with RawRtsp(sim.urls["cam-3"]) as client:
        body = client.ask("DESCRIBE").body
    assert "m=audio" in body
    assert "m=video" not in body


def test_lost_packets_are_missing_on_the_wire_and_counted_in_the_log(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-4"]) as client:
        client.play()
        sim.fault("cam-4", "lose", share=0.2, seed=5)
        connection = sim.status()["cam-4"]["plays"]
        packets = list(islice(client.packets(), 200))
    sequences = [int.from_bytes(packet[2:4], "big") for packet in packets]
    missing = sum((b - a) % 65536 - 1 for a, b in pairwise(sequences))
    span = (sequences[-1] - sequences[0]) % 65536 + 1

    def logged() -> list[log.SentUnit]:
        # A unit's row follows its packets: the last packets may be here before it.
        rows = [row for row in sim.log("cam-4") if row.connection == connection]
        return rows if sum(row.packets for row in rows) >= span else []

    rows = until(logged, 5, "the last unit is in the log")
    last = max(row.number for row in rows)
    sent_and_dropped = sum(row.packets for row in rows)
    dropped = sum(row.dropped_packets for row in rows)
    assert 20 <= missing <= dropped
    assert dropped < 0.4 * sent_and_dropped
    assert [row.number for row in rows] == list(range(rows[0].number, last + 1))


def test_corrupt_packets_keep_their_sequence_and_are_counted(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-4"]) as client:
        client.play()
        sim.fault("cam-4", "corrupt", share=1.0)
        connection = sim.status()["cam-4"]["plays"]
        packets = list(islice(client.packets(), 100))
    sequences = [int.from_bytes(packet[2:4], "big") for packet in packets]
    assert all((b - a) % 65536 == 1 for a, b in pairwise(sequences))
    assert any(row.dropped_packets == row.packets for row in sim.log("cam-4") if row.connection == connection)


def test_reordered_packets_all_arrive(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-4"]) as client:
        client.play()
        sim.fault("cam-4", "reorder", share=0.5)
        packets = list(islice(client.packets(), 120))
    sequences = [int.from_bytes(packet[2:4], "big") for packet in packets]
    steps = [(b - a) % 65536 for a, b in pairwise(sequences)]
    assert 65535 in steps
    distance = [(sequence - sequences[0] + 10) % 65536 for sequence in sequences]
    assert len(set(distance)) == 120
    assert max(distance) - min(distance) < 130


def test_garbage_is_no_rtp(sim: Simulator) -> None:
    sim.fault("cam-4", "garbage")
    with RawRtsp(sim.urls["cam-4"]) as client:
        client.play()
        with pytest.raises((AssertionError, ValueError, TimeoutError, EOFError, IndexError)):
            assert all(packet[0] == 0x80 for packet in islice(client.packets(None), 50))


def test_a_refused_control_request_says_what_there_is(sim: Simulator) -> None:
    with pytest.raises(testing.SimulatorFailed, match="there are cam-1, cam-2"):
        sim.fault("cam-9", "drop")
    with pytest.raises(testing.SimulatorFailed, match="there are none, drop"):
        sim.fault("cam-1", "explode")


def test_udp_packets_come_from_the_announced_ports(sim: Simulator) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp,
    ):
        for sock in (rtp, rtcp):
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(5)
        with RawRtsp(sim.urls["cam-1"]) as client:
            ports = f"{rtp.getsockname()[1]}-{rtcp.getsockname()[1]}"
            transport = client.play(f"RTP/AVP;unicast;client_port={ports}").headers["transport"]
            packet, sender = rtp.recvfrom(2048)
            report, report_sender = rtcp.recvfrom(2048)
        until(lambda: sim.status()["cam-1"]["viewers"] == 0, 5)
    assert f"server_port={sender[1]}-{report_sender[1]}" in transport
    assert packet[0] == 0x80
    assert report[1] == 200


def test_a_login_is_asked_for_and_a_wrong_one_refused() -> None:
    with testing.running(1, loop_s=2, arguments=("--auth", "anna:s3cret")) as sim:
        assert "s3cret" not in str(sim.ready)
        with RawRtsp(sim.urls["cam-1"]) as client:
            assert client.ask("DESCRIBE").status == 401
        with RawRtsp(sim.urls["cam-1"], login=("anna", "wrong")) as client:
            assert client.ask("DESCRIBE").status == 401
        with RawRtsp(sim.urls["cam-1"], login=("anna", "s3cret")) as client:
            assert client.ask("DESCRIBE").status == 200
            client.play()
            next(client.units())
            sim.fault("cam-1", "unauthorised")
            assert client.is_closed()
        with RawRtsp(sim.urls["cam-1"], login=("anna", "s3cret")) as client:
            assert client.ask("DESCRIBE").status == 401


def test_a_viewer_that_does_not_read_loses_units_and_nobody_else_does() -> None:
    arguments = ("--pad-bytes", "300000", "--scenes", "yard")
    with (
        testing.running(1, fps=25, loop_s=1, arguments=arguments) as sim,
        RawRtsp(sim.urls["cam-1"]) as slow,
        RawRtsp(sim.urls["cam-1"]) as quick,
    ):
        slow.play()
        quick.play()
        units = quick.units()
        seen = [number_of(next(units)[0])]
        while not any(row.dropped_packets for row in sim.log("cam-1")):
            seen.append(number_of(next(units)[0]))
            assert len(seen) < 500
        rows = sim.log("cam-1")  # while both are connected: who leaves loses units too
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert all(row.dropped_packets == row.packets for row in rows if row.dropped_packets)
    assert {row.connection for row in rows if row.dropped_packets} == {1}


def test_a_session_without_a_sign_of_life_is_ended() -> None:
    arguments = ("--session-timeout", "1")
    with testing.running(1, loop_s=2, arguments=arguments) as sim, RawRtsp(sim.urls["cam-1"]) as client:
        client.play()
        assert client.is_closed(within_s=6)


def test_silence_leaves_out_scripted_frames_only() -> None:
    arguments = ("--incident", "cam-1=silence@1+1", "--start-anywhere")
    with testing.running(1, fps=25, loop_s=4, arguments=arguments) as sim:
        with RawRtsp(sim.urls["cam-1"]) as client:
            client.play()
            numbers = [number_of(unit) for unit, _ in islice(client.units(), 60)]
        (incident,) = sim.truth("cam-1")["incidents"]
    silent = set(range(incident["start"], incident["end"]))
    assert (incident["kind"], len(silent)) == ("silence", 25)
    assert not {number % 100 for number in numbers} & silent
    assert max(b - a for a, b in pairwise(numbers)) in (1, 26)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--scenes", "moon"], "scene moon is unknown; there are yard"),
        (["--size", "12"], "is not WIDTHxHEIGHT"),
        (["--size", "641x360"], "take even numbers"),
        (["--incident", "cam-7=freeze@3"], "camera 'cam-7' is unknown"),
        (["--incident", "cam-1=dance@3"], "kinds are intrusion"),
        (["--file", "x"], "is not ID=PATH"),
        (["--file", "cam-1=x.mp4"], "there is a camera cam-1 already"),
        (["--file", "x=/no/such.mp4"], "there is no such file"),
        (["--auth", "anna"], "USER:PASSWORD"),
        (["--cameras", "0"], "nothing to serve"),
        (["--port", "70000"], "0<=x<=65535"),
    ],
)
def test_wrong_arguments_are_refused_with_reason_and_remedy(arguments: list[str], reason: str) -> None:
    result = CliRunner().invoke(main, ["serve", "--cameras", "1", *arguments])
    assert result.exit_code == 2
    assert reason in " ".join(result.output.split())


async def test_the_simulator_runs_beside_an_event_loop() -> None:
    async with testing.cameras(n=1, loop_s=2, size="160x90") as sim:
        assert list(sim.urls) == ["cam-1"]
        assert sim.status()["cam-1"]["viewers"] == 0


def test_a_log_that_cannot_be_written_ends_the_simulator(tmp_path: Path) -> None:
    script = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))\n"
        "from simulator.__main__ import main\n"
        "small = ['--cameras', '1', '--size', '160x90', '--loop-s', '2', '--no-incidents']\n"
        "main(['serve', *small, '--log', sys.argv[1]])\n"
    )
    with testing.running(1, loop_s=2, size="160x90", gop_s=2, arguments=("--no-incidents",)):
        pass  # the scene is in the cache now
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["urls"]["cam-1"]
    with RawRtsp(url) as client:
        client.play()
        assert client.is_closed(within_s=30)
    _, complaint = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "File too large" in complaint


def test_numbers_go_on_after_a_crash_on_the_same_folder(tmp_path: Path) -> None:
    for _ in range(2):
        with testing.running(1, fps=25, loop_s=4, gop_s=0.4, log=tmp_path) as sim:
            with RawRtsp(sim.urls["cam-1"]) as client:
                client.play()
                shown = [number_of(unit) for unit, _ in islice(client.units(), 15)]
                # A unit is logged right after it went to the socket, so the newest may be a moment late there.
                until(lambda s=sim, n=shown: {row.number for row in s.log("cam-1")} >= set(n), 10, "all are logged")
            sim.kill()
    rows = log.read(log.path_of(tmp_path, "cam-1"))
    assert len({row.number for row in rows}) == len(rows)
    assert [row.connection for row in rows] == sorted(row.connection for row in rows)
    assert {row.number for row in rows if row.connection == 2} >= set(shown)


def test_a_port_in_use_is_named_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        small = ["--cameras", "1", "--size", "160x90", "--loop-s", "2"]
        command = [sys.executable, "-m", "simulator", "serve", *small, "--port", str(port)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert f"port {port} is in use" in result.stderr
    assert "--port 0" in result.stderr


def test_the_log_can_be_read_as_csv(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-1"]) as client:
        client.play()
        unit, _ = next(client.units())
    path = log.path_of(sim.log_folder, "cam-1")
    result = subprocess.run(
        [sys.executable, "-m", "simulator", "log", str(path)], capture_output=True, text=True, check=True
    )
    assert hashlib.sha256(unit).hexdigest() in result.stdout


def test_a_simulator_dies_with_the_program_that_started_it(tmp_path: Path) -> None:
    script = (
        "from simulator import testing\n"
        "with testing.running(1, loop_s=2, size='160x90') as sim:\n"
        "    print(sim.pid, flush=True)\n"
        "    input()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdin is not None
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()

    def is_gone() -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        return state == "Z"

    until(is_gone, 10)
