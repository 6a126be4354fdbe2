"""The broker's figures for Prometheus, read from its counters when somebody asks: the hot path pays nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from prometheus_client.core import Metric

from broker.camera import state_name
from broker.kinds import Reason
from broker.load_watch import LoadWatch
from broker.registry import CameraRegistry, Entry
from broker.subscriptions import Subscriptions
from mesh.metrics import REGISTRY, counter_family, gauge_family
from trueframe.v1.frames_pb2 import GapReason

_CAMERA_COUNTERS = (
    ("frames", "Frames minted."),
    ("damaged_frames", "Frames minted as damaged."),
    ("payload_bytes", "Payload of the frames."),
    ("network_gaps", "Gaps of unknown count."),
    ("refused_units", "Access units refused: malformed or too long."),
    ("units_before_parameter_sets", "Access units that came before the first parameter sets."),
    ("epochs", "Epochs opened."),
    ("connections", "Connections that played."),
    ("audio_packets_dropped", "Audio packets dropped."),
    ("packets_lost", "RTP packets that never came."),
    ("packets_reordered", "RTP packets put back into order."),
    ("datagrams_dropped", "Datagrams that this host's kernel had no room for."),
    ("foreign_datagrams", "Datagrams of others than the camera, or no RTP, thrown away."),
)

_camera_counters = {name: counter_family(f"broker_{name}", doc, ("camera",)) for name, doc in _CAMERA_COUNTERS}
_camera_clock_offset_seconds = gauge_family(
    "broker_camera_clock_offset_seconds", "Camera's time minus the host's.", ("camera",)
)
_camera_clock_drift_ppm = gauge_family(
    "broker_camera_clock_drift_ppm", "Rate error of the camera's timestamps.", ("camera",)
)
_camera_clock_drift_uncertainty_ppm = gauge_family(
    "broker_camera_clock_drift_uncertainty_ppm", "Half-width of what the drift may be.", ("camera",)
)
_camera_clock_jumps = counter_family("broker_camera_clock_jumps", "Jumps of the camera's clock.", ("camera",))
_camera_clock_wrong = gauge_family(
    "broker_camera_clock_wrong", "1 while the clock is wrong enough for an alarm.", ("camera",)
)
_camera_state = gauge_family("broker_camera_state", "1 for the present state.", ("camera", "state"))
_subscriptions = gauge_family("broker_subscriptions", "Open subscriptions.")
_delivered_frames = counter_family("broker_delivered_frames", "Frames handed out.", ("subscriber",))
_not_delivered_frames = counter_family(
    "broker_not_delivered_frames", "Frames not handed out.", ("subscriber", "reason")
)
_load_used = gauge_family("broker_load_used", "How much of a limit is used.", ("load", "unit"))
_load_limit = gauge_family("broker_load_limit", "The limit; 0 for none.", ("load", "unit"))
_load_degraded = gauge_family("broker_load_degraded", "1 while the broker is degraded by it.", ("load",))


def _clocks(entries: list[Entry]) -> Iterator[Metric]:
    """What is known of the cameras' own clocks; a camera of which nothing is known has no row."""
    offset = _camera_clock_offset_seconds()
    drift = _camera_clock_drift_ppm()
    uncertainty = _camera_clock_drift_uncertainty_ppm()
    jumps = _camera_clock_jumps()
    wrong = _camera_clock_wrong()
    for entry in entries:
        reading = entry.feed.clock_state.reading()
        if reading is None:
            continue
        row = [entry.stored.id]
        if reading.offset_ns is not None:
            offset.add_metric(row, reading.offset_ns / 1e9)
        if reading.drift is not None:
            drift.add_metric(row, reading.drift.ppm)
            uncertainty.add_metric(row, reading.drift.uncertainty_ppm)
        jumps.add_metric(row, reading.jumps)
        wrong.add_metric(row, 1 if entry.feed.clock_state.detail else 0)
    yield from (offset, drift, uncertainty, jumps, wrong)


class BrokerCollector:
    """A prometheus_client collector over the registry, the subscriptions and the load."""

    def __init__(self, registry: CameraRegistry, subscriptions: Subscriptions, load: LoadWatch) -> None:
        self._cameras = registry
        self._subscriptions = subscriptions
        self._load = load

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are only known when collected."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All figures as they are now."""
        entries = self._cameras.entries()
        for name, rows in _camera_counters.items():
            family = rows()
            for entry in entries:
                family.add_metric([entry.stored.id], getattr(entry.feed.counters, name))
            yield family
        states = _camera_state()
        for entry in entries:
            states.add_metric([entry.stored.id, state_name(entry.owner.state.state)], 1)
        yield states
        yield from _clocks(entries)
        yield from self._collect_subscriptions()
        yield from self._collect_load()

    def _collect_subscriptions(self) -> Iterator[Metric]:
        opened = _subscriptions()
        delivered = _delivered_frames()
        missed = _not_delivered_frames()
        handed: dict[str, int] = {}
        lost: dict[tuple[str, str], int] = {}
        subscriptions = self._subscriptions.list()
        for subscription in subscriptions:
            for camera in subscription.subscriber.cameras:
                counters = subscription.subscriber.counters(camera)
                handed[subscription.name] = handed.get(subscription.name, 0) + counters.delivered
                for reason, row in counters.not_delivered.items():
                    key = (subscription.name, GapReason.Name(cast(Reason, reason)).removeprefix("GAP_REASON_").lower())
                    lost[key] = lost.get(key, 0) + row.count
        for name, count in handed.items():
            delivered.add_metric([name], count)
        for (name, reason_name), count in lost.items():
            missed.add_metric([name, reason_name], count)
        opened.add_metric([], len(subscriptions))
        yield opened
        yield delivered
        yield missed

    def _collect_load(self) -> Iterator[Metric]:
        used = _load_used()
        limit = _load_limit()
        degraded = _load_degraded()
        for row in self._load.rows:
            used.add_metric([row.name, row.unit], row.used)
            limit.add_metric([row.name, row.unit], row.limit)
            degraded.add_metric([row.name], row.degraded)
        yield used
        yield limit
        yield degraded

    def __enter__(self) -> BrokerCollector:
        REGISTRY.register(self)
        return self

    def __exit__(self, *_: object) -> None:
        REGISTRY.unregister(self)
