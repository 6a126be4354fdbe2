"""A whole camera: packets through depacketiser, clock, ingest and hub to a subscriber; nothing is lost on the way."""

from __future__ import annotations

import asyncio
import atexit
import functools
import hashlib
from collections.abc import Mapping

from broker.core import BatchReader, Hub, Subscriber, WireFrame
from broker.epochs import EpochBook
from broker.errors import SourceFailure
from broker.feed import Feed
from broker.rtsp.receiver import Receiver
from broker.rtsp.session import VideoStream
from mesh.clocks import ManualClock
from tests.fuzz.cases import Case, corpus_of
from tests.fuzz.mutate import Mutator
from tests.fuzz.target import Target, option
from tests.fuzz.targets_rtp import H264Rtp, H265Rtp, JpegRtp
from trueframe.v1.broker_pb2 import DELIVERY_LATEST
from trueframe.v1.frames_pb2 import (
    CODEC_H264,
    CODEC_H265,
    CODEC_MJPEG,
    EPOCH_END_REASON_CONNECTION_LOST,
    EpochEnded,
    EpochStarted,
)

_CODECS = (CODEC_H264, CODEC_H265, CODEC_MJPEG)
_MS = 1_000_000


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """One for the whole process: making one costs more than a case."""
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


class _Epochs:
    """Last epochs in memory."""

    def __init__(self) -> None:
        self.last: Mapping[str, int] = {}

    async def load(self) -> Mapping[str, int]:
        return self.last

    async def save(self, last: Mapping[str, int]) -> None:
        self.last = dict(last)


class Camera(Target):
    """Units that came = frames + refused + before parameter sets; and frames captured = delivered + told as missing."""

    name, share = "camera", 8

    def __init__(self) -> None:
        self._kinds = (H264Rtp(), H265Rtp(), JpegRtp())
        self.corpus = [
            [bytes([0, 0, 0, 0, 0, 0, number, 0]), *case[1:]]
            for number, kind in enumerate(self._kinds)
            for case in kind.corpus
        ]
        self.corpus += corpus_of(self.name).values()
        self.parts = [part for case in self.corpus for part in case[1:]]

    def mutated(self, mutator: Mutator) -> Case:
        number = mutator.below(3)
        kind = self._kinds[number]
        options, *packets = kind.mutated(mutator)
        return [options[:6] + bytes([number]) + options[7:], *packets]

    def check(self, case: Case) -> int:
        options, packets = case[0], case[1:]
        failures: list[SourceFailure] = []
        clock = ManualClock()
        hub = Hub(max_bytes=1 << 20, budget_bytes=(1 << 20, 4096)[option(options, 0) & 1])
        hub.ring("gate")
        feed = Feed(
            "gate", hub, EpochBook(_Epochs(), clock), clock, lambda: None, lambda: None, lambda: None, failures.append
        )
        with (
            Subscriber(hub, lambda: None) as all_of_it,
            Subscriber(hub, lambda: None, DELIVERY_LATEST, max_pending_items=3) as newest,
        ):
            all_of_it.add("gate")
            newest.add("gate")
            taken = _loop().run_until_complete(self._play(feed, clock, options, packets, all_of_it, newest))
            if not failures:
                self._nothing_is_lost(feed)
            for subscriber in (all_of_it, newest):
                counted = subscriber.counters("gate")
                missed = sum(row.count for row in counted.not_delivered.values())
                assert counted.captured == counted.delivered + missed + counted.pending, counted
            assert all_of_it.counters("gate").captured == feed.counters.frames
        self._in_order(taken, has_room=not option(options, 0) & 1)
        return len(packets)

    async def _play(
        self, feed: Feed, clock: ManualClock, options: bytes, packets: Case, all_of_it: Subscriber, newest: Subscriber
    ) -> bytes:
        codec = _CODECS[option(options, 6) % 3]
        ingest = await feed.open_epoch((1, 90_000), b"", codec)
        stream = VideoStream(90_000, 26 if codec == CODEC_MJPEG else 96, 0, 1, b"", frozenset(), 60.0, codec)
        window = (0, 8)[option(options, 1) & 1]
        receiver = Receiver(stream, ingest, feed.counters, lambda report: None, reorder_packets=window)
        taken = []
        for number, packet in enumerate(packets):
            clock.advance(ns=5 * _MS)
            for unit in receiver.depacketiser.feed(packet, clock.monotonic_ns()):
                receiver.unit(unit)
            if number & 7 == 0:
                receiver.report(packet, clock.monotonic_ns())
                taken.append(all_of_it.take(1000, 1 << 24))
            if number & 15 == option(options, 2) & 15:
                newest.take(2, 1 << 16)
            await self._mint(feed)
        receiver.end()
        await self._mint(feed)
        self._depacketiser = receiver.depacketiser
        feed.end_epoch(EPOCH_END_REASON_CONNECTION_LOST, "the case is over")
        taken.append(all_of_it.take(1000, 1 << 24))
        return b"".join(taken)

    async def _mint(self, feed: Feed) -> None:
        """A change of format opens an epoch in a task of its own."""
        while feed.ingest is not None and (minting := feed.ingest._minting) is not None:
            await minting

    def _nothing_is_lost(self, feed: Feed) -> None:
        came = self._depacketiser.units + self._depacketiser.refused_units
        counters = feed.counters
        kept = counters.frames + counters.refused_units + counters.units_before_parameter_sets
        assert came == kept, f"{came} units came, {kept} are accounted for"

    def _in_order(self, taken: bytes, has_room: bool) -> None:
        epoch, expected = 0, 0
        for item in BatchReader(taken):
            if isinstance(item, EpochStarted):
                assert item.epoch > epoch
                epoch, expected = item.epoch, 0
            elif isinstance(item, WireFrame):
                # Only the small budget may take something away before it is read.
                assert item.epoch == epoch
                assert item.seq == expected or (item.seq > expected and not has_room)
                expected = item.seq + 1
                assert hashlib.sha256(item.payload).digest() == item.digest
            elif isinstance(item, EpochEnded):
                ended = (item.epoch, item.last_seq if item.HasField("last_seq") else -1)
                # The small budget may even have taken all that there was of the epoch, and a gap stands for it.
                assert ended == (epoch, expected - 1) or (ended > (epoch, expected - 1) and not has_room)
