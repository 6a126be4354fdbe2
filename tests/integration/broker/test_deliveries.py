"""Deliveries, labels and changes of an open stream, over real sockets from simulated cameras."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from broker.client import BrokerClient, CameraSpec, Gap, StreamItem, Subscription, WireFrame
from mesh.errors import InvalidArgument, NotFound, PermissionDenied
from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess
from tests.broker_watch import Recording
from tests.support import auntil
from trueframe.layout import layout_of
from trueframe.running import Running
from trueframe.v1.broker_pb2 import DELIVERY_KEYFRAMES, DELIVERY_LATEST
from trueframe.v1.frames_pb2 import (
    GAP_REASON_NOT_REQUESTED,
    GAP_REASON_RATE_CAPPED,
    GAP_REASON_SUPERSEDED,
    JOIN_POINT_EXACT,
    JOIN_POINT_NONE,
)


async def subscription(client: BrokerClient, name: str) -> Subscription:
    [one] = [one for one in await client.list_subscriptions() if one.subscriber == name]
    return one


def assert_all_accounted_for(one: Subscription) -> None:
    for row in one.counters:
        assert row.captured == row.delivered + row.pending + sum(missed.count for missed in row.not_delivered)


async def test_key_frames_come_alone_and_every_other_frame_is_told(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        await client.add_camera("gate", sim.urls["cam-1"])
        async with (
            Recording(client, ["gate"], subscriber="all of them") as whole,
            Recording(client, ["gate"], delivery="keyframes", subscriber="key frames") as keys,
        ):
            await keys.until_more("gate", 4)
            one = await subscription(client, "key frames")
        assert one.delivery == DELIVERY_KEYFRAMES
        assert_all_accounted_for(one)
        assert one.delivered_bytes >= sum(len(frame.payload) for frame in keys.frames("gate"))
        assert one.delivered_batches > 0
        digests = {frame.id: frame.digest for frame in whole.frames("gate")}
        assert all(frame.join_point == JOIN_POINT_EXACT for frame in keys.frames("gate"))
        assert all(digests.get(frame.id, frame.digest) == frame.digest for frame in keys.frames("gate"))
        for earlier, later in pairwise(keys.frames("gate")):
            items = keys.items["gate"]
            between = items[items.index(earlier) + 1 : items.index(later)]
            assert [type(item) for item in between] == [Gap]
            [gap] = [item for item in between if isinstance(item, Gap)]
            assert gap.reason == GAP_REASON_NOT_REQUESTED
            assert gap.count == later.seq - earlier.seq - 1


async def test_a_rate_cap_holds_for_every_camera(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        await client.add_camera("gate", sim.urls["cam-1"])
        await client.add_camera("yard", sim.urls["cam-2"])
        options = {"delivery": "keyframes", "max_rate": 0.7, "subscriber": "capped"}
        async with Recording(client, ["gate", "yard"], **options) as keys:
            await keys.until_more("gate", 2)
            await keys.until_more("yard", 1)
            one = await subscription(client, "capped")
        for camera in ("gate", "yard"):
            for earlier, later in pairwise(keys.frames(camera)):
                assert later.received_ns - earlier.received_ns >= 1_000_000_000 / 0.7
        assert any(missed.reason == GAP_REASON_RATE_CAPPED for row in one.counters for missed in row.not_delivered)
        assert_all_accounted_for(one)


async def test_a_latest_reader_that_stalls_goes_on_at_a_join_point_and_nobody_else_notices(
    broker: BrokerProcess,
) -> None:
    heavy = running(1, fps=25, gop_s=0.4, arguments=("--pad-bytes", "60000"))
    with heavy as cameras:
        async with broker.client() as client, broker.client() as other:
            await client.add_camera("gate", cameras.urls["cam-1"])
            stalled = other.stream(["gate"], delivery="latest", subscriber="stalled")
            async with Recording(client, ["gate"], subscriber="steady") as steady, stalled:
                items = [await anext(stalled) for _ in range(5)]

                async def is_superseded() -> bool:
                    one = await subscription(client, "stalled")
                    assert_all_accounted_for(one)
                    return any(missed.count for row in one.counters for missed in row.not_delivered)

                # Nothing is read until the transport is full and the broker has given up what waited.
                await auntil(is_superseded, 60, "the stalled reader is superseded")
                assert (await subscription(client, "stalled")).delivery == DELIVERY_LATEST
                while not any(isinstance(item, Gap) for item in items) or not isinstance(items[-1], WireFrame):
                    items.append(await anext(stalled))
                items += [await anext(stalled) for _ in range(20)]
                assert steady.gaps("gate") == []
    _assert_runs_decode(items)
    assert {item.reason for item in items if isinstance(item, Gap)} == {GAP_REASON_SUPERSEDED}


def _assert_runs_decode(items: list[StreamItem]) -> None:
    previous: WireFrame | None = None
    told = 0
    for item in items:
        if isinstance(item, Gap):
            told += item.count
        elif isinstance(item, WireFrame):
            if previous is not None and item.epoch == previous.epoch:
                assert item.seq - previous.seq - 1 == told
            if told or previous is None:
                assert item.join_point != JOIN_POINT_NONE, "its references were left out"
            previous, told = item, 0


async def test_labels_choose_cameras_now_and_later(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        await client.add_camera("gate", sim.urls["cam-1"], labels={"site": "north", "kind": "door"})
        await client.add_camera("yard", sim.urls["cam-2"], labels={"site": "south"})
        async with Recording(client, labels={"site": "north"}) as north:
            await north.until_more("gate", 5)
            await client.add_camera("door", sim.urls["cam-3"], labels={"site": "north"})
            await north.until_more("door", 5)
            assert set(north.items) == {"gate", "door"}
            # One comes to carry the label, another loses it.
            await client.update_camera(CameraSpec(id="yard", labels={"site": "north"}))
            await north.until_more("yard", 5)
            await client.update_camera(CameraSpec(id="door", labels={"site": "west"}))

            async def has_left() -> bool:
                [one] = await client.list_subscriptions()
                return [row.camera for row in one.counters] == ["gate", "yard"]

            await auntil(has_left, 10, "the camera without the label has left")
            await north.until_more("gate", 5)
            seqs = [frame.seq for frame in north.frames("gate")]
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), "the others go on without a seam"


async def test_an_open_stream_takes_other_cameras_and_those_in_both_sets_have_no_seam(
    broker: BrokerProcess, sim: Simulator
) -> None:
    async with broker.client() as client:
        for number, camera in enumerate(("gate", "yard", "door"), 1):
            await client.add_camera(camera, sim.urls[f"cam-{number}"])
        async with Recording(client, ["gate", "yard"], subscriber="changing") as changing:
            await changing.until_more("gate", 5)
            await changing.until_more("yard", 5)
            await changing.stream.update(["gate", "door"])
            await changing.until_more("door", 5)
            count = len(changing.items["yard"])
            await changing.until_more("gate", 5)
            assert len(changing.items["yard"]) == count
            await changing.stream.update(all_cameras=True)
            await changing.until_more("yard", 5)
            one = await subscription(client, "changing")
            assert one.number == 1, "it is one subscription all the time"
            frames = changing.frames("gate")
            assert [later.seq - earlier.seq for earlier, later in pairwise(frames)] == [1] * (len(frames) - 1)


async def test_a_stream_that_changed_comes_back_as_it_was_when_the_broker_restarts(
    broker: BrokerProcess, sim: Simulator
) -> None:
    async with broker.client() as client:
        await client.add_camera("gate", sim.urls["cam-1"])
        await client.add_camera("yard", sim.urls["cam-2"])
        async with Recording(client, ["gate"], delivery="keyframes", subscriber="kept") as kept:
            await kept.until_more("gate", 1)
            await kept.stream.update(["yard"])
            await kept.until_more("yard", 2)
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.start)
            await kept.until_more("yard", 2)
            one = await subscription(client, "kept")
            assert one.delivery == DELIVERY_KEYFRAMES
            assert [row.camera for row in one.counters] == ["yard"]
            assert len({frame.epoch for frame in kept.frames("yard")}) == 2
            assert len([gap for gap in kept.gaps("yard") if not gap.HasField("count")]) == 1


async def test_a_wrong_change_ends_the_stream_with_the_reason(broker: BrokerProcess, sim: Simulator) -> None:
    token = broker.mint("guard", "viewer", ["gate"])
    async with broker.client() as client, broker.client(token) as guard:
        await client.add_camera("gate", sim.urls["cam-1"])
        await client.add_camera("vault", sim.urls["cam-2"])
        for reader, camera, error in ((client, "nowhere", NotFound), (guard, "vault", PermissionDenied)):
            async with Recording(reader, ["gate"]) as changing:
                await changing.until_more("gate", 2)
                await changing.stream.update(["gate", camera])
                await auntil(lambda changing=changing: changing.error is not None, 10)
            assert isinstance(changing.error, error)


async def test_what_cannot_be_meant_is_refused_with_what_can(broker: BrokerProcess, sim: Simulator) -> None:
    async with broker.client() as client:
        await client.add_camera("gate", sim.urls["cam-1"])
        with pytest.raises(InvalidArgument, match="KEYFRAMES"):
            await anext(client.stream(["gate"], delivery="latest", max_rate=1.0))
        with pytest.raises(InvalidArgument, match="max_rate"):
            await anext(client.stream(["gate"], delivery="keyframes", max_rate=-1.0))
        with pytest.raises(InvalidArgument, match="one of the two"):
            await anext(client.stream(all_cameras=True, labels={"site": "north"}))
        with pytest.raises(InvalidArgument, match="labels"):
            await anext(client.stream(labels={"": "north"}))


async def test_a_label_shows_a_guard_only_cameras_of_the_guard(broker: BrokerProcess, sim: Simulator) -> None:
    token = broker.mint("guard", "viewer", ["gate"])
    async with broker.client() as client, broker.client(token) as guard:
        await client.add_camera("gate", sim.urls["cam-1"], labels={"site": "north"})
        await client.add_camera("vault", sim.urls["cam-2"], labels={"site": "north"})
        async with Recording(guard, labels={"site": "north"}, subscriber="guard") as seen:
            await seen.until_more("gate", 10)
            one = await subscription(client, "guard")
        assert [row.camera for row in one.counters] == ["gate"]
        assert set(seen.items) == {"gate"}


async def test_the_plain_iterator_changes_its_cameras_too(broker: BrokerProcess, sim: Simulator) -> None:
    def read() -> list[str]:
        seen: list[str] = []
        with broker.sync_client() as client:
            client.add_camera("gate", sim.urls["cam-1"])
            client.add_camera("yard", sim.urls["cam-2"])
            with client.stream(["gate"], delivery="keyframes", subscriber="plain") as stream:
                for item in stream:
                    if isinstance(item, WireFrame):
                        seen.append(item.camera)
                        if len(seen) == 2:
                            stream.update(["yard"])
                        if seen.count("yard") == 2:
                            break
        return seen

    seen = await asyncio.to_thread(read)
    assert seen[:2] == ["gate", "gate"]
    assert set(seen[3:]) == {"yard"}


@contextlib.contextmanager
def instance_of(broker: BrokerProcess, data: Path) -> Iterator[None]:
    """A data folder whose instance consists of this broker alone, as the supervisor would describe it."""
    layout = layout_of(data)
    layout.run.mkdir(parents=True)
    token_file = data / "token"
    token_file.touch(0o600)
    token_file.write_text(broker.token)
    running_ = Running(os.getpid(), 0, str(data), "", str(token_file), {"broker": broker.endpoint})
    layout.run_json.write_bytes(running_.to_json())
    with layout.lock.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


async def test_the_command_lists_who_reads(broker: BrokerProcess, sim: Simulator, tmp_path: Path) -> None:
    async def command(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "trueframe", "subscriptions", "--data", str(tmp_path / "instance"), *arguments),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0
        return said.decode()

    async with broker.client() as client:
        await client.add_camera("gate", sim.urls["cam-1"])
        with instance_of(broker, tmp_path / "instance"):
            async with Recording(client, ["gate"], delivery="keyframes", subscriber="the wall") as keys:
                await keys.until_more("gate", 2)
                row = json.loads(await command("--json"))
                table = await command()
                by_camera = await command("--cameras")
    assert (row["subscriber"], row["principal"], row["delivery"]) == ("the wall", "test", "keyframes")
    gate = row["cameras"]["gate"]
    assert gate["captured"] == gate["delivered"] + gate["pending"] + sum(gate["not_delivered"].values())
    assert gate["not_delivered"]["not_requested"] > 0
    assert re.search(r"the wall +test +keyframes +1 .* not_requested \d+", table)
    assert re.search(r"the wall +gate +\d+ +\d+ +\d+ +not_requested \d+", by_camera)
