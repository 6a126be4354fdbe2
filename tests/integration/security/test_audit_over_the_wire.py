"""The audit log of real services: every change and view that was asked for, kill -9 in between, altered lines found."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mesh.audit import AUDIT
from mesh.audit_book import newest_first
from mesh.channel import connect_sync
from mesh.rpc_kinds import RpcKind, kind_of
from tests.every_rpc import every_rpc, request_of
from tests.footage_instance import Instance
from tests.support import until
from trueframe.__main__ import cli

BROKER_RPCS = [rpc for rpc in every_rpc() if rpc.service.endswith(("BrokerService", "CameraService"))]


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    made = Instance(tmp_path_factory.mktemp("audited") / "data")
    try:
        made.start("broker")
        made.wait_ready("broker")
        yield made
    finally:
        made.stop()


def entries(instance: Instance) -> list[dict[str, Any]]:
    return list(newest_first(AUDIT, instance.data_dir / "audit" / "broker"))


def ran(instance: Instance, *words: str) -> Any:
    return CliRunner().invoke(cli, ["audit", *words, "--data", str(instance.data_dir)])


def test_every_rpc_that_changes_or_shows_leaves_an_entry_even_when_it_is_refused(instance: Instance) -> None:
    with connect_sync(instance.config.broker.endpoint, None) as channel:
        for rpc in BROKER_RPCS:
            name = f"cam-{rpc.name.lower()}"
            rpc.call(channel, instance.token("viewer"), request_of(rpc, {"camera": name, "id": name, "cameras": name}))
    wanted = {
        f"{rpc.service.rpartition('.')[2]}/{rpc.name}" for rpc in BROKER_RPCS if kind_of(rpc.path) != RpcKind.LOOK
    }
    assert len(wanted) >= 5
    found = until(lambda: (rows := entries(instance)) and wanted <= {row["rpc"] for row in rows} and rows)
    assert {row["rpc"] for row in found} == wanted, "and what only looks leaves none"
    assert {row["who"] for row in found} == {"viewer"}
    refused = next(row for row in found if row["rpc"] == "CameraService/RemoveCamera")
    assert (refused["outcome"], refused["object"]) == ("PERMISSION_DENIED", "cam-removecamera")


def test_a_change_is_in_the_log_though_the_service_is_killed_as_soon_as_it_answered(instance: Instance) -> None:
    for number in range(3):
        with instance.broker() as broker:
            broker.add_camera(f"k{number}", "rtsp://u:planted-pw@127.0.0.1:9/x")
        instance.end("broker", signal.SIGKILL)
        instance.start("broker")
        instance.wait_ready("broker")
        newest = entries(instance)[0]
        assert (newest["rpc"], newest["object"], newest["outcome"]) == ("CameraService/AddCamera", f"k{number}", "OK")
        assert newest["who"] == "administrator"
    with instance.broker() as broker:
        spec = broker.get_camera("k0").spec
        spec.display_name = "North"
        broker.update_camera(spec)
    changed = entries(instance)[0]
    assert json.loads(changed["before"])["spec"]["display_name"] == "k0"
    assert json.loads(changed["after"])["spec"]["display_name"] == "North"
    text = b"".join(path.read_bytes() for path in (instance.data_dir / "audit" / "broker").iterdir())
    assert b"planted-pw" not in text
    assert ran(instance, "verify").exit_code == 0


def test_the_log_is_listed_exported_and_an_altered_line_is_found(instance: Instance, tmp_path: Path) -> None:
    with instance.broker() as broker:
        broker.add_camera("listed", "rtsp://127.0.0.1:9/x")
    listed = ran(instance, "list", "--changes", "--object", "listed", "--json")
    (row,) = [json.loads(line) for line in listed.output.splitlines()]
    assert (row["service"], row["who"], row["outcome"]) == ("broker", "administrator", "OK")
    assert "listed" in ran(instance, "list").output
    assert ran(instance, "export", "-o", str(tmp_path / "all.csv")).exit_code == 0
    assert ran(instance, "export", "-o", str(tmp_path / "all.jsonl")).exit_code == 0
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [one["n"] for one in rows] == sorted(one["n"] for one in rows)
    assert len((tmp_path / "all.csv").read_text().splitlines()) == len(rows) + 1
    assert ran(instance, "list", "--service", "nobody").exit_code != 0
    instance.end("broker")
    (path,) = (instance.data_dir / "audit" / "broker").glob("audit-*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"administrator", b"administratoR", 1))
    altered = ran(instance, "verify")
    assert altered.exit_code != 0
    assert "NOT as written" in altered.output
    path.write_bytes(whole)
    assert ran(instance, "verify").exit_code == 0
