"""Requests: who may ask, what is refused, what the answers hold."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import simulator.testing
from media_center.client import FootageClient, SyncFootageClient, footage_range
from mesh.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    TrueframeError,
    Unauthenticated,
)
from mesh.ids import FrameId
from tests.footage import EPOCH, Script, clip_script, record
from trueframe.v1 import footage_pb2, frames_pb2


@pytest.fixture(scope="module")
def archive(instance_type: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A media center over ready-made footage of two cameras; its broker is away."""
    made = instance_type(tmp_path_factory.mktemp("archive") / "data")
    made.footage_dir.mkdir(parents=True)
    record(made.footage_dir, clip_script().items)
    record(made.footage_dir, Script("yard").start().frames(50).skip(5).frames(50).items)
    made.start("media_center")
    try:
        made.wait_ready("media_center")
        yield made
    finally:
        made.stop()


def frame(seq: int, camera: str = "gate") -> FrameId:
    return FrameId(camera, EPOCH, seq)


def test_the_archive_answers_while_its_broker_is_away(archive: Any) -> None:
    with archive.footage() as footage:
        listed = footage.recordings()
        assert [(r.camera, r.first.seq, r.last.seq) for r in listed.recordings] == [
            ("gate", 0, 59), ("yard", 0, 49), ("yard", 55, 104),
        ]  # fmt: skip
        assert [(gap.camera, gap.count) for gap in listed.gaps] == [("yard", 5)]
        assert [r.camera for r in footage.recordings(["gate"]).recordings] == ["gate"]


def test_a_frame_is_found_by_its_time(archive: Any) -> None:
    with archive.footage() as footage:
        times = {row.id.seq: row.received_ns for row in footage.frames("gate") if isinstance(row, footage_pb2.IndexRow)}
        assert footage.locate("gate", times[17]).id.seq == 17
        assert footage.locate("gate", times[17] - 1).id.seq == 16
        assert footage.locate("gate", 0).id.seq == 0
        assert footage.locate("gate", times[59] + 10**15).id.seq == 59


def test_replay_of_several_cameras_runs_on_one_clock(archive: Any) -> None:
    with archive.footage() as footage:
        items = list(footage.replay([footage_range("gate"), footage_range("yard")]))
    frames = [item for item in items if not isinstance(item, frames_pb2.Gap | frames_pb2.EpochStarted)]
    times = [item.received_ns for item in frames]
    assert times == sorted(times)
    assert {item.camera for item in frames} == {"gate", "yard"}
    assert len(frames) == 160


def test_replay_can_begin_at_the_join_point_that_decoding_needs(archive: Any) -> None:
    with archive.footage() as footage:
        plain = list(footage.replay("gate", start=frame(20), end=frame(22)))
        led = list(footage.replay("gate", start=frame(20), end=frame(22), with_lead_in=True))
    assert [item.seq for item in plain[1:]] == [20, 21, 22]
    assert [item.seq for item in led[1:]] == list(range(12, 23))


def test_frames_are_stepped_through_both_ways_and_gaps_on_the_way_are_told(archive: Any) -> None:
    async def step(frame_id: FrameId, steps: int) -> footage_pb2.StepFrameResponse:
        async with FootageClient(archive.config.media_center.endpoint, archive.token("viewer")) as footage:
            return await footage.step(frame_id, steps)

    with archive.footage("viewer", ["yard"]) as footage:
        on = footage.step(frame(49, "yard"))
        assert (on.frame.id.seq, [gap.count for gap in on.gaps]) == (55, [5])
        assert asyncio.run(step(frame(49, "yard"), 1)) == on
        back = footage.step(frame(60, "yard"), -20)
        assert (back.frame.id.seq, [gap.count for gap in back.gaps]) == (35, [5])
        assert footage.step(frame(7, "yard"), 0).frame.id.seq == 7
        with pytest.raises(NotFound, match="followed by 4 recorded frames"):
            footage.step(frame(100, "yard"), 5)
        with pytest.raises(NotFound, match="not recorded"):
            footage.step(frame(52, "yard"), 1)
        with pytest.raises(PermissionDenied):
            footage.step(frame(3), 1)


def test_a_viewer_sees_but_does_not_export(archive: Any, tmp_path: Path) -> None:
    with archive.footage("viewer") as footage:
        assert footage.snapshot(frame(20)).png.startswith(b"\x89PNG")
        with pytest.raises(PermissionDenied):
            footage.export("gate", tmp_path / "clip.mp4")
    assert list(tmp_path.glob("*.mp4*")) == []


def test_cameras_outside_the_callers_scope_are_neither_listed_nor_given(archive: Any, tmp_path: Path) -> None:
    with archive.footage("operator", ["yard"]) as footage:
        assert {r.camera for r in footage.recordings().recordings} == {"yard"}
        assert {mark.camera for mark in next(iter(footage.watch_persisted()))} == {"yard"}
        for attempt in (
            lambda: footage.recordings(["gate"]),
            lambda: footage.locate("gate", 5),
            lambda: list(footage.frames("gate")),
            lambda: list(footage.replay([footage_range("yard"), footage_range("gate")])),
            lambda: footage.snapshot(frame(3)),
            lambda: footage.export("gate", tmp_path / "clip.mp4"),
            lambda: next(iter(footage.watch_persisted(["gate"]))),
        ):
            with pytest.raises(PermissionDenied):
                attempt()


def test_nobody_is_served_without_a_token(archive: Any) -> None:
    with SyncFootageClient(archive.config.media_center.endpoint, None) as footage, pytest.raises(Unauthenticated):
        footage.recordings()


@pytest.mark.parametrize(
    ("error", "ask"),
    [
        (NotFound, lambda f: f.recordings(["cellar"])),
        (NotFound, lambda f: list(f.replay("cellar"))),
        (NotFound, lambda f: f.snapshot(frame(1000))),
        (NotFound, lambda f: f.export("gate", "none.mp4", start=frame(70))),
        (InvalidArgument, lambda f: f.recordings(["No Slug"])),
        (InvalidArgument, lambda f: f.recordings(from_ns=9, to_ns=5)),
        (InvalidArgument, lambda f: list(f.frames("gate", start=frame(9), end=frame(3)))),
        (InvalidArgument, lambda f: list(f.replay("gate", start=FrameId("yard", 1, 1)))),
        (InvalidArgument, lambda f: list(f.replay("gate", start=FrameId("gate", -1, 1)))),
        (InvalidArgument, lambda f: list(f.replay("gate", speed=-1))),
        (InvalidArgument, lambda f: list(f.replay("gate", speed=float("nan")))),
        (InvalidArgument, lambda f: list(f.replay("gate", end=frame(5), follow=True))),
        (InvalidArgument, lambda f: list(f.replay([]))),
        (InvalidArgument, lambda f: list(f.replay([footage_range("gate"), footage_range("gate")]))),
        (InvalidArgument, lambda f: f.snapshot(frame(5), max_width=1 << 20)),
        (FailedPrecondition, lambda f: f.export("yard", "none.mp4", start=frame(57, "yard"))),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_with_a_clear_error(
    archive: Any, error: type[TrueframeError], ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with archive.footage() as footage, pytest.raises(error) as raised:
        ask(footage)
    assert len(str(raised.value)) > 20
    assert list(tmp_path.iterdir()) == []
    assert "internal" not in str(raised.value).lower()


def test_the_asynchronous_client_does_the_same(archive: Any, tmp_path: Path) -> None:
    async def main() -> None:
        seen: list[tuple[int, int]] = []
        async with FootageClient(archive.config.media_center.endpoint, archive.token("operator")) as footage:
            assert len((await footage.recordings()).recordings) == 3
            assert (await footage.locate("gate", 0)).id.seq == 0
            assert len([row async for row in footage.frames("yard")]) == 101
            assert len([item async for item in footage.replay("gate", start=frame(50))]) == 11
            assert (await footage.snapshot(frame(20))).frame.id.seq == 20
            export = await footage.export(
                "gate", tmp_path, start=frame(20), end=frame(30), progress=lambda *done: seen.append(done)
            )
            assert export.path.parent == tmp_path
            assert export.path.name.startswith("gate_")
            assert export.path.stat().st_size == export.size_bytes == seen[-1][0] == seen[-1][1]
            async for marks in footage.watch_persisted():
                assert {mark.camera: mark.seq for mark in marks} == {"gate": 59, "yard": 104}
                break
            with pytest.raises(NotFound):
                await footage.snapshot(frame(4000))

    asyncio.run(main(), debug=True)


def test_a_plain_client_replays_with_the_generated_stub_alone(archive: Any) -> None:
    from trueframe.v1 import footage_pb2_grpc

    with grpc.insecure_channel(archive.config.media_center.endpoint) as channel:
        stub = footage_pb2_grpc.FootageServiceStub(channel)
        request = footage_pb2.ReplayRequest(ranges=[footage_pb2.FootageRange(camera="gate")])
        metadata = [("authorization", f"Bearer {archive.token('viewer')}")]
        items = [item for batch in stub.Replay(request, metadata=metadata) for item in batch.items]
    assert [item.frame.id.seq for item in items if item.HasField("frame")] == list(range(60))
    assert items[0].HasField("epoch_started")


def test_footage_of_a_removed_camera_stays(instance: Any) -> None:
    from tests.support import until

    with simulator.testing.running(1, fps=25) as sim, instance.broker() as broker, instance.footage() as footage:
        broker.add_camera("cam-1", sim.urls["cam-1"])
        until(lambda: len(footage.recordings().recordings) > 0, 30)
        broker.remove_camera("cam-1")
        until(lambda: any(isinstance(i, frames_pb2.EpochEnded) for i in footage.replay("cam-1")), 30)
        assert footage.recordings(["cam-1"]).recordings[0].frames > 0
