import json
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from mesh.config import Config, load
from mesh.store_open import store_file
from trueframe.commands.doctor import command
from trueframe.doctor import machine
from trueframe.doctor.documents import examine_store
from trueframe.doctor.examination import guarded
from trueframe.doctor.finding import Area, Finding, Level, exit_code, worst
from trueframe.doctor.instance import examine_instance, judge_cameras, judge_children, judge_service
from trueframe.doctor.machine import ClockState, DiskSpeed
from trueframe.doctor.programs import judge_providers, judge_versions
from trueframe.doctor.secrets import examine_secrets, judge_certificate, judge_token

SOME = Area("some")
FINE, WARNS, FAILS = SOME.ok("a", "Fine."), SOME.warning("b", "Hm.", "Do."), SOME.failure("c", "Bad.", "Mend.")
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def of(data: Path) -> Config:
    return load(None, [f"run.data_dir={data}"], {})


def test_the_exit_code_is_that_of_the_worst_finding() -> None:
    assert [exit_code(found) for found in ([], [FINE], [FINE, WARNS], [WARNS, FAILS, FINE])] == [0, 0, 5, 1]
    assert worst([FINE, WARNS]) is Level.WARNING


@pytest.mark.parametrize(
    ("finding", "level"),
    [
        (machine.judge_space("data", Path("/d"), 50, 100, least=10, warns=20), Level.OK),
        (machine.judge_space("data", Path("/d"), 15, 100, least=10, warns=20), Level.WARNING),
        (machine.judge_space("data", Path("/d"), 5, 100, least=10, warns=20), Level.FAILURE),
        (machine.judge_speed("data", DiskSpeed(1e9, 0.01), slow_s=1), Level.OK),
        (machine.judge_speed("data", DiskSpeed(1e6, 0.01), slow_s=1), Level.WARNING),
        (machine.judge_speed("data", DiskSpeed(1e9, 2.0), slow_s=1), Level.WARNING),
        (machine.judge_memory(4 << 30, 3 << 30), Level.OK),
        (machine.judge_memory(2 << 30, 3 << 30), Level.WARNING),
        (machine.judge_memory(None, 3 << 30), Level.WARNING),
        (machine.judge_files(-1), Level.OK),
        (machine.judge_files(65536), Level.OK),
        (machine.judge_files(1024), Level.WARNING),
        (machine.judge_clock(ClockState(is_synchronised=True, error_s=0.01)), Level.OK),
        (machine.judge_clock(ClockState(is_synchronised=True, error_s=3.0)), Level.WARNING),
        (machine.judge_clock(ClockState(is_synchronised=False, error_s=0.01)), Level.WARNING),
        (machine.judge_clock(None), Level.WARNING),
        (judge_versions({"av": "18", "onnx": "1"}), Level.OK),
        (judge_versions({"av": "missing", "onnx": "1"}), Level.FAILURE),
        (judge_providers({CPU: ""}, "auto", has_device=False), Level.OK),
        (judge_providers({CPU: ""}, "auto", has_device=True), Level.WARNING),
        (judge_providers({CPU: "", CUDA: "cannot be loaded"}, "cuda", has_device=True), Level.FAILURE),
        (judge_providers({CPU: "", CUDA: "cannot be loaded"}, "cpu", has_device=True), Level.OK),
        (judge_providers({CPU: "", CUDA: ""}, "cuda", has_device=True), Level.OK),
        (judge_providers(None, "auto", has_device=False), Level.FAILURE),
        (judge_token("t", "ann", "viewer", 30 * 86_400), Level.OK),
        (judge_token("t", "ann", "viewer", 3600), Level.WARNING),
        (judge_certificate("certificate", "c", timedelta(days=90), timedelta(days=14)), Level.OK),
        (judge_certificate("certificate", "c", timedelta(days=9), timedelta(days=14)), Level.WARNING),
        (judge_certificate("certificate", "c", timedelta(seconds=-1), timedelta(days=14)), Level.FAILURE),
        (judge_cameras({"gate": "live", "yard": "disabled"}), Level.OK),
        (judge_cameras({"gate": "live", "yard": "lost"}), Level.WARNING),
        (judge_service("broker", "unix:/x", ""), Level.OK),
        (judge_service("broker", "unix:/x", "does not answer"), Level.FAILURE),
        (*judge_children({"broker": 7}, {"broker": 0}, lambda _: True), Level.OK),
        (*judge_children({"broker": 7}, {"broker": 9}, lambda _: True), Level.WARNING),
        (*judge_children({"broker": 7}, {"broker": 0}, lambda _: False), Level.FAILURE),
    ],
)
def test_what_is_measured_is_judged(finding: Finding, level: Level) -> None:
    assert finding.level is level, finding
    assert bool(finding.remedy) == (level is not Level.OK)


def test_this_machine_can_be_measured_and_nothing_is_left_behind(tmp_path: Path) -> None:
    checks = {finding.check for finding in machine.examine_machine(of(tmp_path))}
    assert {"data folder", "footage space", "memory", "open files", "processors", "clock"} <= checks
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_damaged_is_a_failure_and_a_sound_one_is_not(tmp_path: Path) -> None:
    config = of(tmp_path)
    for service in ("aggregate", "event-center"):
        path = store_file(tmp_path, service)
        path.parent.mkdir(parents=True)
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE things (id TEXT, body TEXT)")
        connection.executemany("INSERT INTO things VALUES (?, ?)", [(str(n), "x" * 500) for n in range(500)])
        connection.commit()
        connection.close()
    damaged = store_file(tmp_path, "event-center")
    with damaged.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 30_000)
    found = {finding.check: finding.level for finding in examine_store(config)}
    assert found == {"documents of aggregate": Level.OK, "documents of event-center": Level.FAILURE}


def test_secrets_that_others_may_read_or_that_are_none_are_failures(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "signing.key").write_bytes(b"geheim")
    (keys / "signing.key").chmod(0o644)
    (keys / "operator.token").write_text("nonsense-geheim")
    (keys / "operator.token").chmod(0o600)
    found = {finding.check: finding for finding in examine_secrets(of(tmp_path))}
    for check in ("public key", "key signing.key", "token operator.token", "token service.token"):
        assert found[check].level is Level.FAILURE, check
    assert "geheim" not in str(found)


def test_an_instance_that_does_not_run_is_a_warning_and_a_taken_port_a_failure(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"127.0.0.1:{taken.getsockname()[1]}"
        config = load(None, [f"run.data_dir={tmp_path}", f"broker.endpoint={endpoint}"], {})
        running, port = examine_instance(config, None)
    assert (running.check, running.level) == ("running", Level.WARNING)
    assert (port.level, endpoint in port.text) == (Level.FAILURE, True)


def test_a_check_that_breaks_off_is_a_finding_and_hides_no_secret_of_its_error(tmp_path: Path) -> None:
    def breaks(_config: Config):  # type: ignore[no-untyped-def]
        yield FINE
        raise RuntimeError("rtsp://admin:geheim@10.0.0.7/live")

    first, second = guarded("some", breaks, of(tmp_path))
    assert first is FINE
    assert second.level is Level.FAILURE
    assert "geheim" not in second.text


def test_the_command_gives_one_object_a_line_and_works_with_a_configuration_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trueframe.doctor.examination.examine_programs", lambda _config: iter(()))
    bad = tmp_path / "bad.toml"
    bad.write_text("[broker]\nring_secnds = 3\n")
    done = CliRunner().invoke(command, ["--json", "--data", str(tmp_path / "data"), "--config", str(bad)])
    findings = [json.loads(line) for line in done.output.splitlines()]
    assert done.exit_code == 1
    assert findings[0]["area"] == "configuration"
    assert "ring_seconds" in findings[0]["text"] + findings[0]["remedy"]
    assert {finding["area"] for finding in findings} == {"configuration", "machine", "secrets", "store", "instance"}
