"""A plain Python program with stubs from proto/ alone lists cameras and streams frames, without a package of ours."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from simulator.testing import Simulator
from tests.broker_process import BrokerProcess

ROOT = Path(__file__).resolve().parents[3]


def test_the_example_runs_without_any_package_of_ours(broker: BrokerProcess, sim: Simulator, tmp_path: Path) -> None:
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    protos = sorted((ROOT / "proto" / "trueframe" / "v1").glob("*.proto"))
    generate = ["-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", f"--python_out={stubs}", f"--grpc_python_out={stubs}"]
    subprocess.run([sys.executable, *generate, *map(str, protos)], check=True)
    # Without `site`, the .pth file of the editable installation is not read: grpc is found, we are not.
    alone = {"PYTHONPATH": os.pathsep.join([str(stubs), sysconfig.get_paths()["purelib"]]), "PATH": os.environ["PATH"]}
    python = [sys.executable, "-S", "-P"]
    for package in ("broker", "mesh", "trueframe.client"):
        absent = [*python, "-c", f"import {package}"]
        assert subprocess.run(absent, env=alone, cwd=tmp_path, capture_output=True, check=False).returncode

    token = tmp_path / "token"
    token.write_text(broker.mint("guest", "viewer"))
    with broker.sync_client() as client:
        client.add_camera("gate", sim.urls["cam-1"])
        next(client.stream(["gate"]))
    done = subprocess.run(
        [*python, str(ROOT / "examples" / "stream_frames.py"), broker.endpoint, str(token), "40"],
        env=alone,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("camera gate live 320x180 rtsp://127.0.0.1:")
    assert lines[1].startswith("epoch gate/")
    assert sum(line.startswith("frame gate/") and line.endswith("whole digest=equal") for line in lines) >= 40
    assert lines[-1].endswith("frames, 0 different")
