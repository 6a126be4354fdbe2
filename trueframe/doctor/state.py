"""What a support bundle tells of a running instance: parts, cameras without their sources, storage, inspections, events
as counts. Each question is bounded; texts are cleaned by whoever asks for them (`bundle`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mesh.errors import DeadlineExceeded, TrueframeError, Unavailable
from trueframe.running import Running

if TYPE_CHECKING:
    from trueframe.client import Client

COUNTED_EVENTS = 5000


def state_of(running: Running, client: Client) -> dict[str, Any]:
    """The state as JSON; a part that cannot be asked has the reason instead."""
    questions: tuple[tuple[str, str, Callable[[Client], object]], ...] = (
        ("broker", "cameras", _cameras), ("broker", "limits", _limits), ("media_center", "storage", _storage),
        ("aggregate", "inspections", _inspections), ("aggregate", "models", _models),
        ("event_center", "events", _events),
    )  # fmt: skip
    silent: dict[str, str] = {}
    told: dict[str, Any] = {
        "started_ns": running.started_ns, "children": running.children, "restarts": running.restarts,
        "endpoints": running.endpoints,
    }  # fmt: skip
    for service, name, question in questions:
        if service in silent:
            # Once is enough: each question to a service that stands still is waited for.
            told[name] = {"cannot be asked": silent[service]}
            continue
        try:
            told[name] = question(client)
        except TrueframeError as error:
            told[name] = {"cannot be asked": error.reason}
            if isinstance(error, Unavailable | DeadlineExceeded):
                silent[service] = error.reason
    return told


def _cameras(client: Client) -> list[dict[str, object]]:
    from trueframe.sights import camera_sight

    rows: list[dict[str, object]] = []
    for message in client.broker.list_cameras():
        sight = camera_sight(message, 0)
        names = ("id", "state", "since_ns", "detail", "width", "height", "frames", "damaged_frames", "network_gaps",
                 "frame_rate", "last_received_ns", "clock_detail")  # fmt: skip
        rows.append({name: getattr(sight, name) for name in names})
    return rows


def _limits(client: Client) -> list[dict[str, object]]:
    names = ("name", "used", "limit", "unit", "warns_at", "degraded", "detail")
    return [{name: getattr(load, name) for name in names} for load in client.broker.load()]


def _storage(client: Client) -> dict[str, object]:
    found = client.footage.storage()
    names = ("name", "total_bytes", "free_bytes", "footage_bytes", "write_p99_ns", "detail")
    return {
        "tiers": [{name: getattr(tier, name) for name in names} for tier in found.tiers],
        "queued_bytes": found.queued_bytes,
        "damaged_segments": found.damaged_segments,
    }


def _inspections(client: Client) -> list[dict[str, object]]:
    names = ("worker", "frames_scored", "frames_skipped", "problem", "running", "provider", "cost_us", "lowered_to_fps")
    return [{"id": one.inspection.id} | {name: getattr(one, name) for name in names}
            for one in client.inspections.list()]  # fmt: skip


def _models(client: Client) -> list[str]:
    return [str(model.name) for model in client.models.list()]


def _events(client: Client) -> dict[str, object]:
    """Counts of the newest events; no summary and no comment: people write what they like there."""
    events = client.events.list(limit=COUNTED_EVENTS)
    kinds = Counter((event.kind, event.detector, event.priority, event.alarm_state) for event in events)
    return {
        "counted": len(events),
        "oldest_ns": min((event.started_ns for event in events), default=0),
        "by": [
            {"kind": kind, "detector": detector, "priority": priority, "alarm_state": state, "count": count}
            for (kind, detector, priority, state), count in kinds.most_common()
        ],
    }
