"""How loaded the broker is: measurements in, one row a limit out, degraded or not with hysteresis. Pure.

Belongs here: limits, when one of them is about to hurt, and the words for it. Does not belong here: measuring
(`load_watch`), refusing (`admission`), telling the bus (`announcer`).

A limit is degraded from a share of it on, held for a few seconds, and good again only below a lower share held for
longer: a load that swings around its limit is one alarm, not a hundred. Detail texts are made from the measurement of
that moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mesh.amounts import amount

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that there is only so much of."""

    name: str
    unit: str
    limit: float
    """How much there is; 0 if there is no limit, and then it is never degraded."""
    warns_at: float
    """Share of the limit from which on it is degraded."""
    title: str
    """What is the matter, as a human says it."""
    effect: str
    """What the broker does, or what is about to happen."""
    remedy: str
    returns_at: float = 0.0
    """Share below which it is good again; 0 takes nine tenths of `warns_at`."""
    priority: int = 3
    """Of the alarm; 0 for none."""


@dataclass(frozen=True, slots=True)
class LoadRow:
    """A limit and how much of it is used. `detail` is empty unless degraded."""

    name: str
    unit: str
    used: float
    limit: float
    warns_at: float
    degraded: bool = False
    detail: str = ""
    since_ns: int = 0
    """Monotonic nanoseconds of the last change of `degraded`; 0 before the first."""
    title: str = ""
    priority: int = 0

    @property
    def summary(self) -> str:
        """A sentence or two for an operator; empty unless degraded."""
        return f"{self.title}: {self.detail}" if self.degraded else ""

    @property
    def share(self) -> float:
        """Of the limit that is used; 0 without one."""
        return self.used / self.limit if self.limit > 0 else 0.0


@dataclass(slots=True)
class _Standing:
    """A limit, its row, and since when the measurement says otherwise than the row."""

    limit: Limit
    row: LoadRow
    contrary_since_ns: int | None = field(default=None)


class LoadBook:
    """All limits with their rows."""

    def __init__(self, limits: Iterable[Limit], degraded_after_s: float = 5.0, good_after_s: float = 30.0) -> None:
        self._degraded_after_ns = round(degraded_after_s * _NS)
        self._good_after_ns = round(good_after_s * _NS)
        self._standings = {limit.name: _Standing(limit, _fresh(limit)) for limit in limits}

    @property
    def rows(self) -> list[LoadRow]:
        """As measured last, by name."""
        return [self._standings[name].row for name in sorted(self._standings)]

    def row(self, name: str) -> LoadRow:
        """One of them. Raises KeyError."""
        return self._standings[name].row

    def measure(self, used: Mapping[str, float], now_ns: int) -> list[LoadRow]:
        """Takes measurements (others stay) at a monotonic time; returns the rows whose `degraded` has changed."""
        changed = []
        for name, value in used.items():
            standing = self._standings[name]
            was_degraded = standing.row.degraded
            standing.row = replace(standing.row, used=value)
            if self._is_turning(standing, now_ns):
                standing.contrary_since_ns = None
                standing.row = replace(standing.row, degraded=not was_degraded, since_ns=now_ns)
            detail = _detail(standing.limit, value) if standing.row.degraded else ""
            standing.row = replace(standing.row, detail=detail)
            if standing.row.degraded != was_degraded:
                changed.append(standing.row)
        return changed

    def _is_turning(self, standing: _Standing, now_ns: int) -> bool:
        """Whether the measurement has said otherwise than the row for long enough."""
        limit, row = standing.limit, standing.row
        if row.degraded:
            is_contrary = row.share < (limit.returns_at or 0.9 * limit.warns_at)
        else:
            is_contrary = limit.limit > 0 and row.share >= limit.warns_at
        if not is_contrary:
            standing.contrary_since_ns = None
            return False
        if standing.contrary_since_ns is None:
            standing.contrary_since_ns = now_ns
        wait_ns = self._good_after_ns if row.degraded else self._degraded_after_ns
        return now_ns - standing.contrary_since_ns >= wait_ns


def broker_limits(
    *, max_cameras: int, max_subscribers: int, memory_bytes: int, cores: float, descriptors: int, lag_s: float = 0.5
) -> list[Limit]:
    """What a broker has only so much of. `cores`: that its process may use; `descriptors`: RLIMIT_NOFILE."""
    return [
        Limit(
            "cameras", "cameras", max_cameras, 1.0, "Broker has as many cameras as it accepts",
            "Another one is refused", "Raise broker.max_cameras, or remove a camera.", returns_at=1.0, priority=0,
        ),
        Limit(
            "subscriptions", "subscriptions", max_subscribers, 0.9, "Broker has nearly all subscriptions it accepts",
            "Beyond the limit, readers are refused", "Raise broker.max_subscribers, or end subscriptions.",
        ),
        Limit(
            "ring_memory", "bytes", memory_bytes, 0.95, "Broker's memory for rings is nearly used up",
            "Rings reach back less far than configured: a slow reader loses frames sooner",
            "Raise broker.memory_bytes, or lower broker.ring_seconds or the cameras' bit rates.",
        ),
        Limit(
            "cpu", "cores", cores, 0.85, "Broker has little processor time left", "Frames will be late",
            "Give the broker more cores, or move cameras to another broker.", priority=2,
        ),
        Limit(
            "loop_cpu", "cores", 1.0, 0.8, "Broker's event loop has little time left",
            "Frames will be late, and another camera is refused when nothing is left",
            "Move cameras or subscribers to another broker, or lower frame rates.", priority=2,
        ),
        Limit(
            "descriptors", "descriptors", descriptors, 0.8, "Broker has few open files left",
            "Near the limit, cameras and subscriptions are refused",
            "Raise the limit of open files (ulimit -n, LimitNOFILE=), or remove cameras.",
        ),
        Limit(
            "loop_lag", "seconds", lag_s, 0.5, "Broker is late", "Frames reach their readers later by so much",
            "Something takes the processor away: look at other processes of this machine and at swapping.", priority=2,
        ),
    ]  # fmt: skip


def _fresh(limit: Limit) -> LoadRow:
    return LoadRow(limit.name, limit.unit, 0.0, limit.limit, limit.warns_at, title=limit.title, priority=limit.priority)


def _detail(limit: Limit, used: float) -> str:
    return f"{amount(used, limit.unit)} of {amount(limit.limit, limit.unit)}. {limit.effect}. {limit.remedy}"
