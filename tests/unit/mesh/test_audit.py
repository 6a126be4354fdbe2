"""What the audit log says of a call, and that nothing is done that it cannot take."""

from __future__ import annotations

import asyncio
import errno
import json
from pathlib import Path
from typing import Any

import pytest

from mesh.audit import ASKED, AUDIT, AuditedCall, AuditTrail, note_before
from mesh.audit_book import newest_first, verify_log
from mesh.audit_key import PUBLIC_NAME, judge_of, signer_of
from mesh.audit_text import object_of, said
from mesh.clocks import ManualClock
from mesh.errors import PermissionDenied, TrueframeError, Unavailable
from mesh.tokens import Principal, Role
from tests.support import auntil
from trueframe.v1 import cameras_pb2, footage_pb2, frames_pb2, pixels_pb2

OLGA = Principal("olga", Role.ADMINISTRATOR, token_id="t1")
ADD = "/trueframe.v1.CameraService/AddCamera"
SNAPSHOT = "/trueframe.v1.FootageService/GetSnapshot"
REQUEST = cameras_pb2.AddCameraRequest(spec=cameras_pb2.CameraSpec(id="gate", source="rtsp://u:hidden-pw@h/x"))


def entries(folder: Path) -> list[dict[str, Any]]:
    return list(newest_first(AUDIT, folder))[::-1]


async def served(
    trail: AuditTrail, method: str, request: Any, who: Principal | None = OLGA, error: TrueframeError | None = None
) -> None:
    call = trail.call(method)
    assert isinstance(call, AuditedCall)
    call.came(request)
    call.called_by(who, "ipv4:10.0.0.9:4711")
    if error is None:
        call.require_writable()
        await call.saw(request)
    await call.ended("OK" if error is None else type(error).__name__, error)


async def test_a_change_is_on_the_disk_before_it_is_answered(tmp_path: Path) -> None:
    with AuditTrail(tmp_path / "audit", ManualClock()) as trail:
        await served(trail, ADD, REQUEST)
        (entry,) = entries(tmp_path / "audit")
    assert (entry["who"], entry["role"], entry["token"]) == ("olga", "administrator", "t1")
    assert (entry["peer"], entry["object"], entry["outcome"]) == ("ipv4:10.0.0.9:4711", "gate", "OK")
    assert entry["rpc"] == "CameraService/AddCamera"
    assert json.loads(entry["after"])["spec"]["source"] == "rtsp://h/x"
    assert "hidden-pw" not in json.dumps(entry)


async def test_what_was_before_a_change_is_told_by_whoever_knows_it(tmp_path: Path) -> None:
    with AuditTrail(tmp_path / "audit", ManualClock()) as trail:
        call = trail.call(ADD)
        assert call is not None
        call.called_by(OLGA, "")
        note_before("it was blue")
        await call.ended("OK")
    assert entries(tmp_path / "audit")[0]["before"] == "it was blue"


async def test_a_view_is_written_when_it_begins_and_its_ordinary_end_is_not(tmp_path: Path) -> None:
    frame = frames_pb2.FrameId(camera="gate", epoch=7, seq=3)
    with AuditTrail(tmp_path / "audit", ManualClock()) as trail:
        await served(trail, SNAPSHOT, footage_pb2.GetSnapshotRequest(id=frame))
        trail.flush()
        (entry,) = entries(tmp_path / "audit")
    assert (entry["kind"], entry["object"], entry["outcome"]) == ("picture", "gate/7/3", ASKED)


async def test_what_was_refused_is_written_with_what_was_wanted(tmp_path: Path) -> None:
    eve = Principal("eve", Role.VIEWER)
    with AuditTrail(tmp_path / "audit", ManualClock()) as trail:
        await served(trail, ADD, REQUEST, eve, PermissionDenied("AddCamera", "is not allowed"))
    (entry,) = entries(tmp_path / "audit")
    assert (entry["who"], entry["object"], entry["outcome"]) == ("eve", "gate", "PermissionDenied")


async def test_what_only_looks_is_not_written(tmp_path: Path) -> None:
    with AuditTrail(tmp_path / "audit", ManualClock()) as trail:
        assert trail.call("/trueframe.v1.CameraService/ListCameras") is None
        assert trail.call("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo") is None


async def test_without_room_on_the_disk_users_change_nothing_and_services_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    is_full = True
    from mesh import audit_log

    append = audit_log._append

    def refuse(path: Path, size: int, data: bytes) -> None:
        if is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(path, size, data)

    monkeypatch.setattr(audit_log, "_append", refuse)
    with AuditTrail(tmp_path / "audit", clock) as trail:
        call = trail.call(SNAPSHOT)
        assert call is not None
        call.called_by(OLGA, "")
        await call.saw(footage_pb2.GetSnapshotRequest())
        trail.require_writable()
        clock.advance(11)
        with pytest.raises(Unavailable, match="no change is made without an entry"):
            await served(trail, ADD, REQUEST)
        service = trail.call(ADD)
        assert service is not None
        service.called_by(Principal("trueframe", Role.SERVICE), "")
        service.require_writable()
        is_full = False
        await auntil(lambda: trail.flush(0.0))
        trail.require_writable()
        await served(trail, ADD, REQUEST)
    assert [one["outcome"] for one in entries(tmp_path / "audit")] == [ASKED, "OK"]


async def test_heads_are_signed_by_one_key_of_the_folder_and_alterations_are_seen(tmp_path: Path) -> None:
    signs = await asyncio.gather(*(asyncio.to_thread(signer_of, tmp_path / "keys") for _ in range(4)))
    assert len({sign(lambda key_id: key_id)[0] for sign in signs}) == 1
    with AuditTrail(tmp_path / "audit", ManualClock(), signs[0]) as trail:
        for _ in range(3):
            await served(trail, ADD, REQUEST)
    judge = judge_of(tmp_path / "keys" / PUBLIC_NAME)
    assert not verify_log(AUDIT, tmp_path / "audit", judge).findings
    (path,) = (tmp_path / "audit").glob("audit-*.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"n":2', b'"n":2 ', 1).replace(b"olga", b"eve_", 2))
    assert verify_log(AUDIT, tmp_path / "audit", judge).findings


def test_requests_are_told_without_secrets_and_payloads() -> None:
    chunk = footage_pb2.ReadSegmentResponse(chunk=b"x" * 5000)
    assert said(chunk) == '{"chunk": "5000 bytes"}'
    assert "hidden-pw" not in said(REQUEST)
    labelled = cameras_pb2.CameraSpec(id="gate", labels={"floor": "2", "password": "hidden-pw"})
    assert "hidden-pw" not in said(cameras_pb2.UpdateCameraRequest(spec=labelled))
    assert object_of(pixels_pb2.WatchThumbnailsRequest(cameras=["b", "a", "b"])) == "b a"
    assert said(b"bytes") == object_of(None) == ""
