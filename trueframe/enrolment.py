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

from trueframe.sources import NamedSource

# A region of an inspection: "name", "use" ("inspect" or "ignore") and "corners", pairs of fractions.
Region = dict[str, Any]
SIMULATED_LABEL = "trueframe.simulated"
TIMEOUT_S = 15.0


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
    import grpc

    from mesh.channel import Credentials, connect_sync
    from mesh.errors import AlreadyExists, from_rpc_error
    from trueframe.layout import layout_of
    from trueframe.running import find_running
    from trueframe.v1 import cameras_pb2, cameras_pb2_grpc, inspection_pb2_grpc

    running = find_running(data)
    token = Credentials.from_file(layout_of(data).service_token)
    warnings = []
    with (
        connect_sync(running.endpoints["broker"], token) as to_broker,
        connect_sync(running.endpoints["aggregate"], token) as to_aggregate,
    ):
        cameras = cameras_pb2_grpc.CameraServiceStub(to_broker)
        inspections = inspection_pb2_grpc.InspectionServiceStub(to_aggregate)
        try:
            known: dict[str, Known] = {}
            page = ""
            while True:
                answer = cameras.ListCameras(
                    cameras_pb2.ListCamerasRequest(page_token=page), timeout=TIMEOUT_S, wait_for_ready=True
                )
                for camera in answer.cameras:
                    spec = camera.spec
                    known[spec.id] = Known(dict(spec.labels), spec.disabled, spec.display_name)
                page = answer.next_page_token
                if not page:
                    break
            for change in changes_for(enrolment, known):
                spec = cameras_pb2.CameraSpec(
                    id=change.id,
                    source=change.source,
                    display_name=change.display_name,
                    labels=change.labels,
                    disabled=change.disabled,
                )
                try:
                    if change.is_new:
                        # Before the camera: the aggregate gives one that has no inspection its own, of whole pictures.
                        _put_motion(inspections, change.id, enrolment.regions.get(change.id, []))
                        cameras.AddCamera(cameras_pb2.AddCameraRequest(spec=spec), timeout=TIMEOUT_S)
                    else:
                        cameras.UpdateCamera(cameras_pb2.UpdateCameraRequest(spec=spec), timeout=TIMEOUT_S)
                except grpc.RpcError as error:
                    known_error = from_rpc_error(error)
                    if not isinstance(known_error, AlreadyExists):
                        raise
                    warnings.append(f"{known_error} It is left out; choose another id: NAME={change.source or '…'}")
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
    return warnings


def _put_motion(inspections: Any, camera: str, regions: list[Region]) -> None:
    """Puts the motion inspection of a simulated scene, if the scene says where to look."""
    from trueframe.v1 import inspection_pb2

    if not regions:
        return
    inspection = inspection_pb2.Inspection(id=f"{camera}.motion", camera=camera, detector="motion")
    for region in regions:
        inspection.regions.add(
            name=region["name"],
            use=inspection_pb2.RegionUse.Value(f"REGION_USE_{region['use'].upper()}"),
            corners=[inspection_pb2.Point(x=x, y=y) for x, y in region["corners"]],
        )
    request = inspection_pb2.PutInspectionRequest(inspection=inspection)
    inspections.PutInspection(request, timeout=TIMEOUT_S, wait_for_ready=True)


def main() -> None:
    """Reads the wish, carries it out, says what went wrong."""
    from mesh.errors import TrueframeError
    from mesh.process import die_with_parent
    from mesh.redact import redact

    die_with_parent()
    try:
        for warning in enrol(sys.argv[sys.argv.index("--data") + 1], Enrolment.from_json(sys.stdin.buffer.read())):
            sys.stderr.write(f"{redact(warning)}\n")
    except TrueframeError as error:
        sys.stderr.write(f"{redact(' '.join(str(error).split()))}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
