"""The example in Go: generated from the protos, it streams, verifies, resumes, and counts what the cameras sent."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess, running_broker
from tests.embedded import embedded
from tests.real_peers import ROOT, require
from tests.support import until

GO_CLIENT = ROOT / "examples" / "go-client"
Received = dict[str, list[bytes]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client, generated and built from scratch as its README says, and its own tests passed."""
    require("go")
    folder = tmp_path_factory.mktemp("go")
    source = folder / "examples" / "go-client"
    ignore = shutil.ignore_patterns("bin", "trueframev1", "trueframe-frames")
    shutil.copytree(GO_CLIENT, source, ignore=ignore)
    shutil.copytree(ROOT / "proto", folder / "proto")
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/local/go/bin"}
    built = subprocess.run(["sh", "build.sh"], cwd=source, env=environment, capture_output=True, text=True, timeout=300)
    if "unknown directive: tool" in built.stderr:
        pytest.skip("needs Go 1.24 or newer; get it from https://go.dev/dl")
    if "dial tcp" in built.stderr or "no such host" in built.stderr:
        pytest.skip("needs Go's modules; with a network, `examples/go-client/build.sh` fetches them once")
    assert built.returncode == 0, built.stderr
    subprocess.run(["go", "test", "./..."], cwd=source, env=environment, check=True, timeout=300)
    return source / "trueframe-frames"


@pytest.fixture
def two_cameras(tmp_path: Path) -> Iterator[tuple[BrokerProcess, Simulator]]:
    """A broker with two simulated cameras of 20 frames a second; its token lies beside."""
    with running(2, fps=20, log=tmp_path / "sent") as cameras, running_broker(tmp_path / "broker") as broker:
        (tmp_path / "token").write_text(broker.token)
        with broker.sync_client() as client:
            for name, url in cameras.urls.items():
                client.add_camera(name, url)
        yield broker, cameras


class GoClient:
    """The program, started; `finish` waits for its end and returns its summary."""

    def __init__(self, program: Path, broker: BrokerProcess, folder: Path, *arguments: str) -> None:
        self.log = folder / "received"
        connection = ("-endpoint", broker.endpoint, "-token-file", str(folder / "token"))
        command = [str(program), *connection, "-json", "-log", str(self.log), *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said = ""

    def finish(self, code: int = 0) -> dict[str, Any]:
        out, self.said = self._process.communicate(timeout=60)
        assert self._process.returncode == code, self.said
        summary: dict[str, Any] = json.loads(out)
        return summary

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def received(self) -> Received:
        """SHA-256 that the program computed, in the order of arrival, by camera."""
        found: Received = defaultdict(list)
        for line in self.log.read_text().splitlines():
            camera, _, _, digest = line.split()
            found[camera].append(bytes.fromhex(digest))
        return found


@contextlib.contextmanager
def go_client(program: Path, broker: BrokerProcess, folder: Path, *arguments: str) -> Iterator[GoClient]:
    client = GoClient(program, broker, folder, *arguments)
    try:
        yield client
    finally:
        client.stop()


def numbers_sent(cameras: Simulator, camera: str, digests: list[bytes]) -> list[int]:
    """The running numbers under which the camera sent these payloads; fails for one that it did not send."""

    def numbers() -> list[int]:
        sent = {unit.digest: unit.number for unit in cameras.log(camera)}
        return [sent[digest] for digest in digests if digest in sent]

    # A unit is logged right after it was sent, which may be after it was received.
    until(lambda: len(numbers()) == len(digests), 5, "every payload is one that the camera sent")
    return numbers()


def test_every_frame_that_the_go_client_verifies_is_one_that_the_camera_sent_and_none_is_missing(
    program: Path, two_cameras: tuple[BrokerProcess, Simulator], tmp_path: Path
) -> None:
    broker, cameras = two_cameras
    with go_client(program, broker, tmp_path, "-frames", "200") as client:
        summary = client.finish()
    assert (summary["frames"], summary["different"], summary["doubled"], summary["untold_holes"]) == (200, 0, 0, 0)
    assert sorted(summary["cameras"]) == ["cam-1", "cam-2"]
    received = client.received()
    for name, account in summary["cameras"].items():
        assert account["frames"] == len(received[name]) > 0
        numbers = numbers_sent(cameras, name, received[name])
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert " frames/s  " in client.said


def test_the_go_client_goes_on_behind_its_last_frame_when_the_broker_was_killed(
    program: Path, two_cameras: tuple[BrokerProcess, Simulator], tmp_path: Path
) -> None:
    broker, cameras = two_cameras
    with go_client(program, broker, tmp_path, "-cameras", "cam-1", "-frames", "120") as client:
        with broker.sync_client() as own:
            until(lambda: delivered(own) >= 20, 30, "the Go client has twenty frames")
        broker.kill()
        broker.start()
        summary = client.finish()
    assert summary["connections"] >= 2
    assert "connection lost" in client.said
    account = summary["cameras"]["cam-1"]
    assert (account["frames"], account["different"], account["doubled"], account["untold_holes"]) == (120, 0, 0, 0)
    assert account["gaps_of_unknown_count"] == {"broker_lost": 1}
    assert account["epochs"] == 2
    numbers = numbers_sent(cameras, "cam-1", client.received()["cam-1"])
    assert numbers == sorted(set(numbers)), "a frame came twice, or out of order"


def test_the_go_client_asks_for_key_frames_alone_and_is_told_of_every_other(
    program: Path, two_cameras: tuple[BrokerProcess, Simulator], tmp_path: Path
) -> None:
    broker, cameras = two_cameras
    with go_client(program, broker, tmp_path, "-cameras", "cam-2", "-delivery", "keyframes", "-frames", "4") as client:
        account = client.finish()["cameras"]["cam-2"]
    assert (account["frames"], account["different"], account["untold_holes"]) == (4, 0, 0)
    # A group of pictures is a second, 20 frames: told are those between the key frames.
    numbers = numbers_sent(cameras, "cam-2", client.received()["cam-2"])
    assert [later - number for number, later in pairwise(numbers)] == [20] * 3
    assert account["gap_frames"]["not_requested"] >= 3 * 19


def delivered(client: Any) -> int:
    return sum(row.delivered for one in client.list_subscriptions() for row in one.counters)


def test_the_go_client_finds_a_running_instance_by_its_data_folder(program: Path, tmp_path: Path) -> None:
    with embedded(tmp_path / "data", "--simulate", "1"):
        done = subprocess.run(
            [str(program), "-data", str(tmp_path / "data"), "-frames", "30", "-json"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == 30


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-data", "nowhere"], 3, "trueframe up --data nowhere"),
        (["-delivery", "some"], 2, "lossless, latest or keyframes"),
        (["-labels", "hall"], 2, "write key=value"),
        (["frames"], 2, "-h lists them"),
    ],
)
def test_the_go_client_says_what_is_wrong_with_a_call(
    program: Path, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    done = subprocess.run([program, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_the_go_client_does_not_try_again_what_cannot_succeed(
    program: Path, two_cameras: tuple[BrokerProcess, Simulator], tmp_path: Path
) -> None:
    with go_client(program, two_cameras[0], tmp_path, "-cameras", "nobody") as client:
        summary = client.finish(1)
    assert summary["frames"] == 0
    assert "the broker refused: camera 'nobody': does not exist" in client.said
