"""Makes the broker's cameras those of a run: `python -m trueframe.enrolment --data DIR`, the wish as JSON on stdin.

A process of its own, since the supervisor imports no gRPC. Warnings and the error that ended it go to stderr, a line
each. What should not be in this module: connecting to cameras.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mesh.errors import AlreadyExists, TrueframeError
from mesh.process import die_with_parent
from mesh.redact import redact
from trueframe.layout import layout_of
from trueframe.running import find_running
from trueframe.sources import NamedSource
from trueframe.v1.inspection_pb2 import Inspection, Point, RegionUse

# A region of an inspection: "name", "use" ("inspect" or "ignore") and "corners", pairs of fractions.
Region = dict[str, Any]
SIMULATED_LABEL = "trueframe.simulated"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The cameras a run was started for. `simulated` come and go with the simulator; `regions` are of their scenes."""

    sources: list[NamedSource] = field(default_factory=list)
    simulated: list[NamedSource] = field(default_factory=list)
    regions: dict[str, list[Region]] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """For the pipe. May hold credentials."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Enrolment:
        """The inverse of `to_json`."""
        lists = json.loads(data)
        sources, simulated = ([NamedSource(**one) for one in lists[name]] for name in ("sources", "simulated"))
        return cls(sources, simulated, lists["regions"])


@dataclass(frozen=True, slots=True)
class Known:
    """What counts of a camera that the broker has."""

    labels: Mapping[str, str]
    disabled: bool
    display_name: str

    @property
    def is_simulated(self) -> bool:
        """It was added for a simulator."""
        return self.labels.get(SIMULATED_LABEL) == "yes"


@dataclass(frozen=True, slots=True)
class Change:
    """One change to make. An empty source keeps the stored one."""

    is_new: bool
    id: str
    source: str
    display_name: str
    labels: Mapping[str, str]
    disabled: bool


def changes_for(enrolment: Enrolment, known: Mapping[str, Known]) -> list[Change]:
    """What to tell the broker. Pure: wishes and present cameras in, changes out."""
    changes = []
    for wish, simulated in [*((s, False) for s in enrolment.sources), *((s, True) for s in enrolment.simulated)]:
        camera = known.get(wish.id)
        labels = {k: v for k, v in (camera.labels if camera else {}).items() if k != SIMULATED_LABEL}
        if simulated:
            labels[SIMULATED_LABEL] = "yes"
        named = wish.display_name != wish.id
        name = wish.display_name if named or camera is None else camera.display_name
        changes.append(Change(camera is None, wish.id, wish.source, name, labels, disabled=False))
    wanted = {change.id for change in changes}
    for camera_id, camera in known.items():
        # Nobody serves them in this run: they would only raise alarms.
        if camera.is_simulated and camera_id not in wanted and not camera.disabled:
            changes.append(Change(False, camera_id, "", camera.display_name, camera.labels, disabled=True))
    return changes


def enrol(data: str, enrolment: Enrolment) -> list[str]:
    """Carries it out against the running instance; returns warnings. Raises TrueframeError."""
    from aggregate.client import SyncInspectionClient
    from broker.client import CameraSpec, SyncBrokerClient

    running = find_running(data)
    token_file = layout_of(data).service_token
    warnings = []
    with (
        SyncBrokerClient(running.endpoints["broker"], token_file) as broker,
        SyncInspectionClient(running.endpoints["aggregate"], token_file) as inspections,
    ):
        specs = [camera.spec for camera in broker.list_cameras()]
        known = {spec.id: Known(dict(spec.labels), spec.disabled, spec.display_name) for spec in specs}
        for change in changes_for(enrolment, known):
            if not change.is_new:
                # What the enrolment says nothing of (transport, certificate, device) stays as it is.
                spec = CameraSpec()
                spec.CopyFrom(next(spec for spec in specs if spec.id == change.id))
                spec.ClearField("labels")
                spec.MergeFrom(CameraSpec(labels=change.labels))
                spec.source, spec.display_name, spec.disabled = change.source, change.display_name, change.disabled
                broker.update_camera(spec)
                continue
            # Before the camera: the aggregate gives one that has no inspection its own, of whole pictures.
            if regions := enrolment.regions.get(change.id):
                inspections.put(motion_inspection(change.id, regions))
            try:
                broker.add_camera(change.id, change.source, display_name=change.display_name, labels=change.labels)
            except AlreadyExists as error:
                warnings.append(f"{error} It is left out; give it another name: NAME=SOURCE")
    if not known and not enrolment.sources and not enrolment.simulated:
        warnings.append("no camera yet: give SOURCES, --simulate 4, or `trueframe cameras add rtsp://HOST/PATH`")
    return warnings


def motion_inspection(camera: str, regions: list[Region]) -> Inspection:
    """The motion inspection of a simulated scene, which says where to look."""
    inspection = Inspection(id=f"{camera}.motion", camera=camera, detector="motion")
    for region in regions:
        inspection.regions.add(
            name=region["name"],
            use=RegionUse.Value(f"REGION_USE_{region['use'].upper()}"),
            corners=[Point(x=x, y=y) for x, y in region["corners"]],
        )
    return inspection


def main() -> None:
    """Reads the wish, carries it out, says what went wrong."""
    die_with_parent()
    try:
        for warning in enrol(sys.argv[sys.argv.index("--data") + 1], Enrolment.from_json(sys.stdin.buffer.read())):
            sys.stderr.write(f"{redact(warning)}\n")
    except TrueframeError as error:
        sys.stderr.write(f"{redact(' '.join(str(error).split()))}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
