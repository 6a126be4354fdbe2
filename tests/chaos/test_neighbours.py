"""What happens to one camera never touches the others."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker.client import Gap, StreamItem, WireFrame
from simulator.testing import Simulator, running
from tests.broker_process import BrokerProcess, running_broker
from tests.support import until

pytestmark = pytest.mark.chaos


class Reader(threading.Thread):
    """Everything a lossless subscriber of all cameras is told, by camera."""

    def __init__(self, stream: Iterator[StreamItem]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self.told: dict[str, list[StreamItem]] = defaultdict(list)

    def run(self) -> None:
        for item in self._stream:
            self.told[item.camera].append(item)
            if self.is_over:
                return

    is_over = False

    def frames(self, camera: str) -> list[WireFrame]:
        return [item for item in list(self.told[camera]) if isinstance(item, WireFrame)]


@contextmanager
def reading(broker: BrokerProcess) -> Iterator[Reader]:
    with broker.sync_client() as client:
        reader = Reader(client.stream(all_cameras=True, subscriber="reader"))
        reader.start()
        try:
            yield reader
        finally:
            # A frame of a steady camera comes soon; the thread leaves its stream before the client is closed.
            reader.is_over = True
            reader.join(20)


def assert_nothing_lost(reader: Reader, cameras: Simulator, camera: str) -> None:
    """Every unit that the camera sent between the first and the last that came is there, whole, in one epoch."""
    frames = reader.frames(camera)
    assert not [item for item in reader.told[camera] if isinstance(item, Gap)]
    assert len({frame.epoch for frame in frames}) == 1
    assert not any(frame.damaged or frame.follows_damage for frame in frames)
    sent = [unit.digest for unit in cameras.log(camera)]
    first = sent.index(frames[0].digest)
    assert [frame.digest for frame in frames] == sent[first : first + len(frames)]


@pytest.mark.timeout(200)
def test_with_one_percent_of_packets_lost_each_hit_unit_is_damaged_or_in_a_gap_and_three_neighbours_lose_nothing(
    tmp_path: Path,
) -> None:
    with running(4, fps=25, arguments=("--pad-bytes", "8000")) as cameras, running_broker(tmp_path / "data") as broker:
        with broker.sync_client() as client:
            for name, url in cameras.urls.items():
                client.add_camera(name, url)
        with reading(broker) as reader:
            until(lambda: all(len(reader.frames(name)) > 10 for name in cameras.urls), 60, "all cameras are live")
            cameras.fault("cam-1", "lose", share=0.01, seed=11)
            until(lambda: sum(unit.dropped_packets > 0 for unit in cameras.log("cam-1")) >= 30, 120, "thirty hits")
            cameras.fault("cam-1", "none")
            count = len(reader.frames("cam-1"))
            until(lambda: len(reader.frames("cam-1")) > count + 60, 60, "it runs well again")
        for name in ("cam-2", "cam-3", "cam-4"):
            assert_nothing_lost(reader, cameras, name)
        sent = {unit.digest: unit for unit in cameras.log("cam-1")}
        position = {
            sent[item.digest].number: at
            for at, item in enumerate(reader.told["cam-1"])
            if isinstance(item, WireFrame) and not item.damaged
        }
        whole = sorted(position)
        hits = [unit.number for unit in sent.values() if unit.dropped_packets and whole[0] < unit.number < whole[-1]]
        assert len(hits) >= 30
        for number in hits:
            assert number not in position, f"unit {number} was hit and passed as whole"
            before = position[max(n for n in whole if n < number)]
            after = position[min(n for n in whole if n > number)]
            between = reader.told["cam-1"][before + 1 : after]
            assert any(isinstance(item, Gap) or (isinstance(item, WireFrame) and item.damaged) for item in between)


@pytest.mark.timeout(240)
def test_eight_cameras_come_and_go_for_a_minute_while_two_others_lose_nothing(tmp_path: Path) -> None:
    with running(10, fps=15) as cameras, running_broker(tmp_path / "data") as broker:
        steady, guests = ("cam-1", "cam-2"), [f"cam-{number}" for number in range(3, 11)]
        with broker.sync_client() as client, reading(broker) as reader:
            for name in steady:
                client.add_camera(name, cameras.urls[name])
            until(lambda: all(len(reader.frames(name)) > 5 for name in steady), 60, "both are live")
            rounds, ends_at = 0, time.monotonic() + 60
            while time.monotonic() < ends_at:
                # An id is never given twice, so each round has names of its own.
                present = [f"guest-{rounds}-{number}" for number in range(len(guests))]
                for name, guest in zip(present, guests, strict=True):
                    client.add_camera(name, cameras.urls[guest])
                until(lambda p=present: all(len(reader.frames(name)) >= 3 for name in p), 60, "all guests are live")
                for name in present:
                    client.remove_camera(name)
                rounds += 1
            assert rounds >= 5
            counts = {name: len(reader.frames(name)) for name in steady}
            until(lambda: all(len(reader.frames(n)) > counts[n] + 5 for n in steady), 30, "both go on")
        for name in steady:
            assert len(reader.frames(name)) > 60 * 15 * 0.8
            assert_nothing_lost(reader, cameras, name)
