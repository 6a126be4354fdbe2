"""The aggregate's figures for Prometheus, read when somebody asks: workers, inspections, models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from prometheus_client.core import Metric

from aggregate.inspections import Inspections
from aggregate.model_store import Models
from aggregate.scheduler import Scheduler
from aggregate.standing import Status
from mesh.metrics import REGISTRY, gauge_family

T = TypeVar("T")
TRIES = 5
STATES = ("running", "waiting", "resting", "disabled")

_workers = gauge_family("aggregate_workers", "Workers in the pool.")
_cores = gauge_family("aggregate_cores", "CPU cores: what workers may use, and what inspections take.", ("which",))
_inspections = gauge_family("aggregate_inspections", "Inspections, by how they stand.", ("state",))
_problems = gauge_family("aggregate_inspection_problems", "Inspections not carried out as ordered.")
_lowered = gauge_family("aggregate_lowered_inspections", "Inspections whose rate had to be lowered.")
_cameras = gauge_family("aggregate_cameras", "Cameras known to the aggregate, by whether any is looked at.", ("seen",))
_rollouts = gauge_family("aggregate_models", "Models, by where their versions are.", ("rollout",))


def state_of(status: Status) -> str:
    """How an inspection stands, of STATES."""
    if status.order.is_disabled:
        return "disabled"
    if status.is_resting:
        return "resting"
    return "running" if status.worker else "waiting"


def _unchanged(read: Callable[[], T]) -> T:
    """What `read` gives; again if another thread changed it meanwhile, which the event loop does."""
    for _ in range(TRIES):
        try:
            return read()
        except RuntimeError:
            continue
    return read()


class PoolCollector:
    """A prometheus_client collector over scheduler, inspections and models."""

    def __init__(self, scheduler: Scheduler, inspections: Inspections, models: Models) -> None:
        self._scheduler = scheduler
        self._inspections = inspections
        self._models = models

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are only known when collected."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All figures as they are now."""
        statuses = _unchanged(self._inspections.statuses)
        yield _workers(len(self._scheduler.workers))
        cores = _cores()
        there, taken = _unchanged(self._scheduler.room)
        cores.add_metric(["there"], there)
        cores.add_metric(["taken"], taken)
        yield cores
        counts = Counter(map(state_of, statuses))
        states = _inspections()
        for state in STATES:
            states.add_metric([state], counts[state])
        yield states
        yield _problems(sum(bool(status.problem) for status in statuses))
        yield _lowered(len(_unchanged(lambda: self._scheduler.lowered)))
        seen = {status.order.camera for status in statuses if status.worker}
        cameras = _cameras()
        cameras.add_metric(["yes"], len(seen))
        cameras.add_metric(["no"], len(self._inspections.cameras - seen))
        yield cameras
        yield _unchanged(self._collect_models)

    def _collect_models(self) -> Metric:
        rollouts = [self._models.rollout(name) for name in self._models.names]
        models = _rollouts()
        models.add_metric(["promoted"], sum(bool(rollout.promoted) for rollout in rollouts))
        models.add_metric(["shadow"], sum(bool(rollout.shadow) for rollout in rollouts))
        models.add_metric(["canary"], sum(bool(rollout.canary) for rollout in rollouts))
        return models

    def __enter__(self) -> PoolCollector:
        REGISTRY.register(self)
        return self

    def __exit__(self, *_: object) -> None:
        REGISTRY.unregister(self)
